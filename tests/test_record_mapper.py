from __future__ import annotations

import typing as t

import pytest

from tap_medchat_swell.record_mapper import (
    MAX_DEPTH,
    MAX_FIELDS,
    KeyFinder,
    RowTooLargeError,
    RowType,
    clean_json,
    snake_case,
)

NULLABLE_TEXT = {"type": ["string", "null"]}
SCHEMA: dict[str, t.Any] = {
    "type": "object",
    "properties": {
        "id": {"type": ["string"]},
        "user_phone_number": NULLABLE_TEXT,
        "created_date_time": {"type": ["string", "null"], "format": "date-time"},
        "unread_count": {"type": ["integer", "null"]},
        "read": {"type": ["boolean", "null"]},
        "contact": {
            "type": ["object", "null"],
            "properties": {
                "name": NULLABLE_TEXT,
                "country_code": {"type": ["object", "null"], "properties": {"code": NULLABLE_TEXT}},
            },
        },
        "tags": {
            "type": ["array", "null"],
            "items": {"type": ["object", "string", "number", "null"]},
        },
        "locations": {
            "type": ["array", "null"],
            "items": {"type": ["object", "null"], "properties": {"id": {"type": ["integer"]}}},
        },
        "additional_properties": {"type": ["object", "null"], "properties": {}},
    },
}
BLANK = dict.fromkeys(SCHEMA["properties"])


def record(row: dict[str, t.Any], **kwargs: t.Any) -> dict[str, t.Any]:
    return RowType(SCHEMA, **kwargs).record(row)


def filled(row: dict[str, t.Any]) -> dict[str, t.Any]:
    """The record without the columns that are null."""
    return {name: value for name, value in record(row).items() if value is not None}


@pytest.mark.parametrize(
    ("key", "snake"),
    [
        ("UserPhoneNumber", "user_phone_number"),
        ("userPhoneNumber", "user_phone_number"),
        ("user_phone_number", "user_phone_number"),
        ("user-phone-number", "user_phone_number"),
        ("User Phone Number", "user_phone_number"),
        ("SMSChatID", "sms_chat_id"),
        ("address2Line", "address2_line"),
        ("@odata.etag", "odata_etag"),
        ("id", "id"),
        ("名前", "名前"),
        ("", ""),
        ("--", "--"),
    ],
)
def test_snake_case(key: str, snake: str) -> None:
    assert snake_case(key) == snake


@pytest.mark.parametrize(
    "keys",
    [
        ("id", "userPhoneNumber", "createdDateTime"),
        ("Id", "UserPhoneNumber", "CreatedDateTime"),
        ("id", "userphonenumber", "createddatetime"),
        ("id", "user_phone_number", "created_date_time"),
        ("ID", "USERPHONENUMBER", "CREATEDDATETIME"),
        ("id", "user-phone-number", "Created_DateTime"),
    ],
)
def test_any_casing_finds_its_column(keys: tuple[str, ...]) -> None:
    row = dict(zip(keys, ("a", "555", "2022-12-01T20:40:50Z"), strict=True))

    assert record(row) == {
        **BLANK,
        "id": "a",
        "user_phone_number": "555",
        "created_date_time": "2022-12-01T20:40:50.000000Z",
    }


def test_every_column_is_there_even_if_the_vendor_sent_nothing() -> None:
    assert record({}) == BLANK


def test_aliases_in_order_of_preference() -> None:
    aliases = {"id": ("id", "chatId", "smsChatId")}

    assert record({"SmsChatId": "s", "chatid": "c"}, aliases=aliases)["id"] == "c"
    assert record({"SmsChatId": "s", "Id": "i"}, aliases=aliases)["id"] == "i"


def test_what_has_no_column_is_kept() -> None:
    row = {"id": "a", "NewField": 1, "deep": {"UserName": [{"PhoneNumber": "555"}]}}

    assert filled(row) == {
        "id": "a",
        "additional_properties": {
            "new_field": 1,
            "deep": {"user_name": [{"phone_number": "555"}]},
        },
    }


def test_unknown_keys_of_one_name_are_both_kept() -> None:
    extras = record({"newField": 1, "NewField": 2})["additional_properties"]

    assert extras == {"new_field": 1, "NewField": 2}


@pytest.mark.parametrize("keys", [("aB", "a_b", "AB"), ("a_b", "aB", "A-B"), ("a-b", "a_b", "aB")])
def test_no_unknown_key_ever_takes_anothers_place(keys: tuple[str, ...]) -> None:
    row = dict(zip(keys, (1, 2, 3), strict=True))

    assert sorted(record(row)["additional_properties"].values()) == [1, 2, 3]
    assert sorted(clean_json(row).values()) == [1, 2, 3]


def test_a_repeated_key_fills_its_column_and_is_kept_too() -> None:
    row = record({"userPhoneNumber": "first", "UserPhoneNumber": "second"})

    assert row["user_phone_number"] == "first"
    assert row["additional_properties"] == {"user_phone_number": "second"}


@pytest.mark.parametrize(
    ("value", "read"),
    [(7, 7), ("7", 7), (" -7 ", -7), (7.0, 7), (0, 0), (2**63 - 1, 2**63 - 1), ("", None)],
)
def test_whole_numbers(value: object, read: int | None) -> None:
    row = record({"unreadCount": value})

    assert row["unread_count"] == read
    assert type(row["unread_count"]) in (int, type(None))
    assert row["additional_properties"] is None


@pytest.mark.parametrize("value", ["seven", 7.5, True, [7], {"a": 7}, 2**63, str(2**63), "9" * 40])
def test_what_is_no_whole_number_is_kept_aside(value: object) -> None:
    assert filled({"unreadCount": value}) == {"additional_properties": {"unread_count": value}}


@pytest.mark.parametrize(
    ("value", "read"),
    [(True, True), (1, True), ("1", True), ("True", True), (False, False), (0, False), ("", None)],
)
def test_booleans(value: object, *, read: bool | None) -> None:
    row = record({"read": value})

    assert row["read"] is read
    assert row["additional_properties"] is None


@pytest.mark.parametrize("value", ["yes", 2, [True], {"a": 1}])
def test_what_is_no_boolean_is_kept_aside(value: object) -> None:
    assert filled({"read": value}) == {"additional_properties": {"read": value}}


@pytest.mark.parametrize(
    ("value", "text"), [(5550001, "5550001"), (1.5, "1.5"), (True, "true"), ("", "")]
)
def test_text_columns_take_numbers(value: object, text: str) -> None:
    assert record({"userPhoneNumber": value})["user_phone_number"] == text


@pytest.mark.parametrize("value", [["555"], {"Number": "555"}])
def test_text_columns_keep_structures_aside(value: object) -> None:
    extras = record({"userPhoneNumber": value})["additional_properties"]

    assert extras == {"user_phone_number": clean_json(value)}


def test_an_empty_date_is_null_and_a_wrong_one_is_kept_aside() -> None:
    """W19."""
    assert filled({"createdDateTime": ""}) == {}
    for wrong in ("soon", 1669927250, ["2022"]):
        extras = record({"createdDateTime": wrong})["additional_properties"]
        assert extras == {"created_date_time": wrong}


def test_extras_of_a_nested_record_are_hoisted() -> None:
    row = {"contact": {"Name": "A", "nickName": "B", "countryCode": {"code": "US", "Flag": "*"}}}

    assert filled(row) == {
        "contact": {"name": "A", "country_code": {"code": "US"}},
        "additional_properties": {
            "contact": {"nick_name": "B", "country_code": {"flag": "*"}},
        },
    }


@pytest.mark.parametrize("value", ["text", 5, ["list"]])
def test_a_contact_that_is_no_object_is_kept_aside(value: object) -> None:
    assert filled({"contact": value}) == {"additional_properties": {"contact": value}}


def test_lists_of_objects_and_of_anything() -> None:
    row = record(
        {
            "tags": ["a", {"TagName": "b"}, None, 3],
            "locations": [{"Id": "3", "ZipCode": "9"}, None],
        }
    )

    assert row["tags"] == ["a", {"tag_name": "b"}, None, 3]
    assert row["locations"] == [{"zip_code": "9", "id": 3}, None]


@pytest.mark.parametrize(
    "odd",
    [
        {"tags": ["a", True]},
        {"tags": [["a"]]},
        {"locations": [{"id": 3}, "x"]},
        {"locations": [3]},
        {"locations": [{"id": "L-6"}]},
    ],
)
def test_a_list_with_an_odd_item_is_kept_aside_whole(odd: dict[str, object]) -> None:
    assert filled(odd) == {"additional_properties": odd}


def test_a_list_that_is_none_is_kept_aside() -> None:
    assert filled({"tags": "a,b"}) == {"additional_properties": {"tags": "a,b"}}


def test_only_wanted_columns_and_nothing_of_the_others_aside() -> None:
    wanted = frozenset({"id", "additional_properties"})

    row = record({"id": "a", "userPhoneNumber": "555", "extra": 1}, wanted=wanted)

    assert row == {"id": "a", "additional_properties": {"extra": 1}}


def test_without_additional_properties_nothing_unknown_is_left() -> None:
    row = record(
        {"id": "a", "extra": 1, "unreadCount": "many", "contact": {"secret": 1}},
        wanted=frozenset({"id", "unread_count", "contact"}),
    )

    assert row == {"id": "a", "unread_count": None, "contact": {"name": None, "country_code": None}}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_has_not_become_null(value: float) -> None:
    assert clean_json({"a": [value]}) == {"a": [None]}


def nested(levels: int) -> t.Any:
    value: t.Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_depth_is_bounded() -> None:
    assert record({"extra": nested(MAX_DEPTH)})
    with pytest.raises(RowTooLargeError, match="levels"):
        record({"extra": nested(MAX_DEPTH + 1)})


def test_fields_are_bounded() -> None:
    assert record({f"k{n}": n for n in range(MAX_FIELDS)})
    with pytest.raises(RowTooLargeError):
        record({f"k{n}": n for n in range(MAX_FIELDS + 1)})
    with pytest.raises(RowTooLargeError):
        record({"extra": {f"k{n}": n for n in range(MAX_FIELDS + 1)}})


def test_rows_of_ever_new_shapes_keep_memory_flat() -> None:
    rows, finder = RowType(SCHEMA), KeyFinder("id")
    for number in range(2000):
        assert rows.record({"id": "a", f"k{number}": 1})["id"] == "a"
        assert finder.value({"ID": "a", f"k{number}": 1}) == "a"

    assert len(rows._plans) <= 500
    assert len(finder._found) <= 500


def test_rows_of_one_shape_do_not_share_values() -> None:
    rows = RowType(SCHEMA)
    first, second = rows.record({"id": "a", "x": 1}), rows.record({"id": "b", "x": 2})

    assert (first["id"], first["additional_properties"]) == ("a", {"x": 1})
    assert (second["id"], second["additional_properties"]) == ("b", {"x": 2})


class TestKeyFinder:
    finder = KeyFinder("id", "chatId")

    def test_any_casing_and_the_first_name_that_is_there(self) -> None:
        assert self.finder.value({"CHAT_ID": 1, "Id": 2}) == 2
        assert self.finder.value({"chat-id": 1}) == 1

    def test_nothing_found(self) -> None:
        assert self.finder.value({"other": 1}) is None
        assert self.finder.value({}) is None
