"""What a run reads for the state and the dates that it is given."""

from __future__ import annotations

import copy
import functools
import typing as t
from datetime import datetime, timedelta, timezone

import pytest
from medchat_swell_sandbox import Dataset, Fault, Sandbox
from support.tap_process import Json, Run
from support.tap_runs import DEFAULT_STREAMS, STREAMS, assert_whole, discover, only, select, sync

from tap_medchat_swell.swell import marks

Config = dict[str, t.Any]
UTC = timezone.utc
NOW = datetime.now(UTC).replace(microsecond=0)


def text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def first_days(sandbox: Sandbox) -> list[str]:
    """The from_date of every request for messages by days."""
    return [r.query["from_date"] for r in sandbox.requests if "from_date" in r.query]


@pytest.fixture
def state(config: Config) -> Json:
    """The state that a whole run left."""
    run = sync(config)
    assert run.code == 0, run.log
    return run.state


def test_a_second_run_writes_no_chats_or_messages_again(config: Config, state: Json) -> None:
    run = sync(config, state)

    assert run.code == 0
    assert run.records("sms_chats") == run.records("sms_messages") == []


def test_changes_are_written(sandbox: Sandbox, config: Config, state: Json) -> None:
    data = sandbox.dataset
    chat, other = list(data.chats)[:2]
    data.change_chat(chat, status="Changed")
    message = data.add_message(other, text="late", created=NOW - timedelta(days=1))

    run = sync(config, state)

    assert (chat, "Changed") in {(r["id"], r["status"]) for r in run.records("sms_chats")}
    assert message.id in {record["id"] for record in run.records("sms_messages")}


def test_swell_reads_the_last_days_again(sandbox: Sandbox, config: Config, state: Json) -> None:
    sandbox.reset_log()
    config["swell_lookback_days"] = 5

    sync(config, state)

    value = state["bookmarks"]["swell_messages"]["replication_key_value"]
    last = datetime.fromisoformat(value[:10])
    assert min(first_days(sandbox)) == str((last - timedelta(days=5)).date())


@pytest.mark.parametrize("many", [False, True])
def test_late_changes_of_one_run_are_written_once(
    sandbox: Sandbox, config: Config, monkeypatch: pytest.MonkeyPatch, *, many: bool
) -> None:
    """Its windows have written them, unless more have been written than it remembers."""
    if many:
        monkeypatch.setattr(marks, "MAX_SLOTS", 16)
        monkeypatch.setattr(marks.Marks.__init__, "__defaults__", (16,))
    oldest = min(sandbox.dataset.swell_messages)
    sandbox.dataset.change_swell_message(oldest, text="changed today")

    run = sync(config)

    asked = [request for request in sandbox.requests if "updated_after" in request.query]
    written = [record["id"] for record in run.records("swell_messages")]
    assert asked
    assert set(written) == set(sandbox.dataset.swell_messages)
    assert (written.count(oldest) > 1) is many
    assert len(written) == len(set(written)) or many


def test_a_run_resumed_late_still_makes_progress(sandbox: Sandbox, config: Config) -> None:
    begun = NOW - timedelta(days=50)
    config |= {"start_date": text(NOW - timedelta(days=60)), "max_concurrency": 1}
    catalog = select(discover(config), only("swell_messages"))
    state = sync(config, catalog=catalog).state
    bookmark = state["bookmarks"]["swell_messages"]
    bookmark |= {
        "finished": text(begun - timedelta(days=1)),
        "started": text(begun),
        "at": str((begun - timedelta(days=5)).date()),
    }
    sandbox.faults.add(Fault("status", status=403, after=4, times=None))

    run = sync(config, state, catalog=catalog)

    assert run.code == 1
    assert run.bookmark("swell_messages")["at"] > text(begun)


def test_swells_bookmark_stays_behind_days_that_may_not_be_over(state: Json) -> None:
    value = state["bookmarks"]["swell_messages"]["replication_key_value"]

    assert value[:10] in {str((NOW - timedelta(days=days)).date()) for days in (2, 3)}


def messages_of(run: Run) -> set[str]:
    assert run.code == 0, run.log
    return {record["id"] for record in run.records("sms_messages")}


def test_another_stream_map_writes_everything_again_once(config: Config) -> None:
    mapped = {**config, "stream_maps": {"sms_messages": {"text": "md5(text or '')"}}}
    first = sync(config)

    with_map = sync(mapped, first.state)
    again = sync(mapped, with_map.state)
    without = sync(config, again.state)

    assert messages_of(with_map) == messages_of(without) == messages_of(first)
    assert messages_of(again) == set()


def test_fields_selected_behind_a_stream_map_are_written_again(config: Config) -> None:
    config |= {"stream_maps": {"sms_messages": {"extra": "'x'"}}}
    everything = discover(config)
    few = select(everything, {}, {"sms_messages.text": False})
    first = sync(config, catalog=few)

    run = sync(config, first.state, everything)

    assert messages_of(run) == messages_of(first)


def merged(old: Json, new: Json) -> Json:
    """As Meltano merges states, with --full-refresh for one: key by key, at every depth."""
    both = {**old, **new}
    for key in old.keys() & new.keys():
        if isinstance(old[key], dict) and isinstance(new[key], dict):
            both[key] = merged(old[key], new[key])
    return both


def test_states_that_were_merged(sandbox: Sandbox, config: Config) -> None:
    config |= {"medchat_page_size": 5, "medchat_window_pages": 2}
    first = sync(config)
    state = functools.reduce(merged, first.states)
    assert state == first.state, "a later state leaves out no key of an earlier one"
    message = sandbox.dataset.add_message(next(iter(sandbox.dataset.chats)), text="late")

    second = sync(config, state)

    assert message.id in {record["id"] for record in second.records("sms_messages")}
    assert "Resuming" not in second.log


@pytest.mark.parametrize("stream", STREAMS)
def test_any_stream_alone(sandbox: Sandbox, config: Config, stream: str) -> None:
    catalog = select(discover(config), only(stream))

    first = sync(config, catalog=catalog)
    second = sync(config, first.state, catalog=catalog)

    assert first.code == second.code == 0
    assert first.streams == {stream}
    assert_whole(first, sandbox, stream)
    assert len(second.records(stream)) < max(1, len(first.records(stream)))


def test_a_stream_selected_later_is_read_whole(sandbox: Sandbox, config: Config) -> None:
    state = sync(
        config, catalog=select(discover(config), only("sms_chats", "swell_messages"))
    ).state

    run = sync(config, state)

    assert run.code == 0
    assert_whole(run, sandbox, "sms_messages", "swell_message_counts")


def test_end_date(sandbox: Sandbox, config: Config) -> None:
    end = NOW - timedelta(days=8)
    config["end_date"] = text(end)

    run = sync(config)

    assert run.code == 0
    truth = sandbox.truth()
    limit = text(end)
    wanted = {r["id"] for r in truth["sms_chats"] if r["created_date_time"] < limit}
    assert {r["id"] for r in run.records("sms_chats")} == wanted != set()
    before = {r["id"] for r in truth["swell_messages"] if r["created_at"] < limit}
    seen = {r["id"] for r in run.records("swell_messages")}
    assert before <= seen < {r["id"] for r in truth["swell_messages"]}
    days = {r["date"] for r in run.records("swell_message_counts")}
    assert max(days) == str((end - timedelta(microseconds=1)).date())
    for stream in DEFAULT_STREAMS:
        assert run.bookmark(stream)["replication_key_value"] <= text(end + timedelta(days=1))


@pytest.mark.parametrize("lookback", [0, 3])
def test_after_end_date_the_rest_follows(sandbox: Sandbox, config: Config, lookback: int) -> None:
    config |= {"swell_lookback_days": lookback, "swell_counts_lookback_days": lookback}
    end = (NOW - timedelta(days=8)).replace(hour=0, minute=0, second=0)
    first = sync({**config, "end_date": text(end)})

    second = sync(config, first.state)

    assert second.code == 0
    both = Run(0, first.stdout + second.stdout, "")
    assert_whole(both, sandbox)


def test_a_later_start_date_is_obeyed(sandbox: Sandbox, config: Config, state: Json) -> None:
    sandbox.reset_log()
    start = NOW - timedelta(days=5)
    chat = next(iter(sandbox.dataset.chats_created(None, None))).id
    message = sandbox.dataset.add_message(chat, text="on an old chat")

    run = sync({**config, "start_date": text(start)}, state)

    assert run.code == 0
    assert message.id not in {record["id"] for record in run.records("sms_messages")}
    assert min(first_days(sandbox)) >= str(start.date() - timedelta(days=1))


def test_an_earlier_start_date_reads_the_years_before(sandbox: Sandbox, config: Config) -> None:
    middle = NOW - timedelta(days=8)
    state = sync({**config, "start_date": text(middle)}).state

    run = sync(config, state)

    assert run.code == 0
    truth = sandbox.truth()
    old = {r["id"] for r in truth["sms_chats"] if r["created_date_time"] < text(middle)}
    assert old <= {r["id"] for r in run.records("sms_chats")}
    assert_whole(run, sandbox, "swell_messages", "swell_message_counts")


FUTURE = "2999-01-01T00:00:00.000000Z"


@pytest.mark.parametrize("stream", ["swell_messages", "swell_message_counts"])
@pytest.mark.parametrize("names", [["replication_key_value"], ["at", "started"]], ids=str)
def test_a_bookmark_in_the_future_is_not_trusted(
    sandbox: Sandbox, config: Config, state: Json, stream: str, names: list[str]
) -> None:
    state["bookmarks"][stream] |= dict.fromkeys(names, FUTURE)

    run = sync(config, state)

    assert run.code == 0
    assert_whole(run, sandbox, stream)
    assert f"The bookmark of {stream} lies in the future" in run.log
    assert run.bookmark(stream)["replication_key_value"] < text(NOW + timedelta(days=2))


def read_in_the_future(bookmark: Json) -> None:
    """As a clock that ran ahead by centuries leaves MedChat's bookmark."""
    seconds = int(datetime(2999, 1, 1, tzinfo=UTC).timestamp())
    for window in bookmark["windows"]:
        window[2] = seconds
    bookmark["windows"][-1][0] = seconds
    bookmark["replication_key_value"] = FUTURE


def test_chats_read_in_the_future_lose_nothing(
    sandbox: Sandbox, config: Config, state: Json
) -> None:
    """All chats are read again in every run, and digests do not trust clocks."""
    for stream in ("sms_chats", "sms_messages"):
        read_in_the_future(state["bookmarks"][stream])
    chat = sandbox.dataset.add_chat(created=NOW - timedelta(seconds=1))
    messages = {
        sandbox.dataset.add_message(parent).id
        for parent in (chat.id, next(iter(sandbox.dataset.chats)))
    }

    first = sync(config, state)
    messages.add(sandbox.dataset.add_message(chat.id).id)
    second = sync(config, first.state)

    assert first.code == second.code == 0
    both = [*first.records("sms_messages"), *second.records("sms_messages")]
    assert messages <= {record["id"] for record in both}
    assert chat.id in {record["id"] for record in first.records("sms_chats")}
    for run in (first, second):
        assert run.bookmark("sms_chats")["replication_key_value"] < text(NOW + timedelta(days=1))


def damage(value: object) -> list[object]:
    """Ways in which a hand may damage a value."""
    ways: list[object] = [None, "nonsense", 5, [], {}, "0001-01-01T00:00:00Z", -1, [None]]
    return [way for way in ways if way != value]


@pytest.mark.unmeasured
@pytest.mark.parametrize("stream", ["sms_messages", "swell_messages", "swell_message_counts"])
def test_no_damage_to_a_bookmark_loses_a_row(
    sandbox: Sandbox, config: Config, state: Json, stream: str
) -> None:
    """All else is in order: what is new must come, and no damage may crash the run."""
    catalog = select(discover(config), only(stream))
    data = sandbox.dataset
    chat = data.add_chat(created=NOW - timedelta(seconds=1))
    news: dict[str, object] = {
        "sms_messages": data.add_message(chat.id).id,
        "swell_messages": data.add_swell_message().id,
        "swell_message_counts": str(NOW.date()),
    }
    for name, value in state["bookmarks"][stream].items():
        newer = {"version": [5]}  # which ends the run
        for wrong in [way for way in damage(value) if way not in newer.get(name, [])]:
            damaged = copy.deepcopy(state)
            damaged["bookmarks"][stream][name] = wrong

            run = sync(config, damaged, catalog)

            assert run.code == 0, (name, wrong, run.log)
            key = "date" if stream == "swell_message_counts" else "id"
            assert news[stream] in {r[key] for r in run.records(stream)}, (name, wrong)
            assert run.bookmark(stream)["version"] == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": 0}, "was not written by this tap"),
        ({"version": None}, "was not written by this tap"),
        ({"version": 1}, "was written with other settings"),
        ({"scope": "other"}, "was written with other settings"),
    ],
)
def test_a_bookmark_of_another_kind_reads_all(
    sandbox: Sandbox, config: Config, state: Json, change: Json, sentence: str
) -> None:
    for bookmark in state["bookmarks"].values():
        bookmark.update(change)

    run = sync(config, state)

    assert run.code == 0
    assert_whole(run, sandbox)
    assert run.log.count(sentence) == len(DEFAULT_STREAMS)


def test_a_bookmark_of_a_newer_version_ends_the_run(config: Config, state: Json) -> None:
    state["bookmarks"]["swell_messages"]["version"] = 3

    run = sync(config, state)

    assert run.code == 1
    assert run.of_type("RECORD") == []
    [error] = run.errors
    assert error.startswith("The state was written by a newer tap-medchat-swell")


def test_other_filters_read_all(sandbox: Sandbox, config: Config) -> None:
    state = sync({**config, "swell_location_ids": "1"}).state

    run = sync(config, state)

    assert run.code == 0
    assert_whole(run, sandbox, "swell_messages", "swell_message_counts")
    assert "written with other settings" in run.log


def test_bookmarks_of_streams_that_do_not_exist_survive(config: Config, state: Json) -> None:
    """They may be another vendor's, whose credentials this run has not."""
    state["bookmarks"]["gone"] = {"replication_key_value": "x"}

    run = sync({**config, "swell_api_token": ""}, state)

    assert run.code == 0
    assert run.bookmark("gone") == {"replication_key_value": "x"}
    assert run.bookmark("swell_messages") == state["bookmarks"]["swell_messages"]


def test_an_empty_history() -> None:
    with Sandbox(Dataset()) as sandbox:
        config = sandbox.tap_config(start_date=text(NOW - timedelta(days=10)))
        first = sync(config)
        assert first.code == 0
        assert {m["stream"] for m in first.of_type("RECORD")} == {"swell_message_counts"}
        chat = sandbox.dataset.add_chat(created=NOW - timedelta(days=9))
        sandbox.dataset.add_message(chat.id, created=NOW - timedelta(days=9))
        sandbox.dataset.add_swell_message()

        second = sync(config, first.state)

        assert second.code == 0
        assert_whole(second, sandbox, "sms_chats", "sms_messages", "swell_messages")


def test_a_start_in_the_future(sandbox: Sandbox, config: Config) -> None:
    run = sync({**config, "start_date": text(NOW + timedelta(days=30))})

    assert run.code == 0
    assert run.of_type("RECORD") == []
    run = sync(config, run.state)
    assert run.code == 0
    assert_whole(run, sandbox)


def test_one_instant_with_more_rows_than_pages() -> None:
    data = Dataset()
    instant = NOW - timedelta(days=2)
    for _ in range(35):
        data.add_message(data.add_chat(created=instant).id, created=instant)
    with Sandbox(data) as sandbox:
        run = sync(sandbox.tap_config(medchat_page_size=10, swell_api_token=""))

        assert run.code == 0, run.log
        assert_whole(run, sandbox, "sms_chats", "sms_messages")


def test_windows_stay_small_where_chats_become_denser() -> None:
    """A window is cut by the density so far: a burst in it must not make it long."""
    data = Dataset()
    sparse = [NOW - timedelta(days=200 - number) for number in range(150)]
    dense = [sparse[-1] + number * timedelta(seconds=30) for number in range(1, 600)]
    for instant in (*sparse, *dense):
        data.add_message(data.add_chat(created=instant).id, created=instant)
    pages, size = 4, 10
    with Sandbox(data) as sandbox:
        settings = {"medchat_page_size": size, "medchat_window_pages": pages}
        run = sync(sandbox.tap_config(**settings, swell_api_token=""))

        assert_whole(run, sandbox, "sms_chats", "sms_messages")
    windows = run.bookmark("sms_chats")["windows"]
    assert max(chats for _, chats, *_ in windows) <= 2 * pages * size
