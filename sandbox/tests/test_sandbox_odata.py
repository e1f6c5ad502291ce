"""MedChat's query language: what is documented, and what is rejected."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from medchat_swell_sandbox import Dataset, Quirks, Sandbox
from medchat_swell_sandbox.odata_filter import QueryError, parse_filter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox_clients import MedChat

NOON = datetime(2022, 10, 25, 12, tzinfo=timezone.utc)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    dataset = Dataset()
    rows = (
        ("a", "Jane O'Hara", "Active", -60_000),
        ("b", "Jane Smith", "Subscribed", -1),
        ("c", None, "Ended", 0),
        ("d", "Zoë Smith", "Ended", 1),
        ("e", "", "Active", 60_000),
    )
    for key, name, status, offset in rows:
        created = NOON + timedelta(milliseconds=offset)
        dataset.add_chat(
            id=key,
            name=name,
            status=status,
            created=created,
            user_phone=f"123456000{key}",
        )
    with Sandbox(dataset) as running:
        yield running


VENDORS_EXAMPLE = (
    "CreatedDateTime ge 2022-10-25T12:00:00Z and CreatedDateTime lt "
    "2022-10-25T12:01:00Z and (status eq 'Subscribed' or Status eq 'Ended')"
)


def ids(medchat: MedChat, **options: object) -> str:
    return "".join(row["id"] for row in medchat.rows(**options))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CreatedDateTime gt 2022-10-25T12:00:00Z", "de"),
        ("CreatedDateTime ge 2022-10-25T12:00:00Z", "cde"),
        ("CreatedDateTime lt 2022-10-25T12:00:00Z", "ab"),
        ("CreatedDateTime le 2022-10-25T12:00:00Z", "abc"),
        ("createddatetime eq 2022-10-25T12:00:00.000Z", "c"),
        ("CREATEDDATETIME ne 2022-10-25T12:00:00Z", "abde"),
        ("CreatedDateTime ge 2022-10-25T12:00:00.001Z", "de"),
        ("CreatedDateTime le 2022-10-25T11:59:59.999Z", "ab"),
        ("CreatedDateTime lt 2022-10-25T12:00:00.0010000Z", "abc"),
        ("CreatedDateTime ge 2022-10-25T07:00:00-05:00", "cde"),
        ("2022 eq 2022", None),
        ("userphonenumber eq '123456000a'", "a"),
        ("userphonenumber ne '123456000a'", "bcde"),
        ("name eq 'Jane O''Hara'", "a"),
        ("name eq null", "c"),
        ("name ne null", "abde"),
        ("name gt null", ""),
        ("name eq ''", "e"),
        ("Name gt 'Jane Smith'", "d"),
        ("UnreadMessageCount eq 0", "abcde"),
        ("UnreadMessageCount gt 0.5", ""),
        ("startswith(name, 'Jane')", "ab"),
        ("startswith(name,'Jane') and endswith( Name , 'Smith' )", "b"),
        ("endswith(name, 'Smith')", "bd"),
        ("Status eq 'Subscribed' or status eq 'Ended'", "bcd"),
        ("Status eq 'Active' and name eq '' or Status eq 'Ended'", "cde"),
        ("Status eq 'Active' and (name eq '' or Status eq 'Ended')", "e"),
        ("((Status eq 'Active'))", "ae"),
        (VENDORS_EXAMPLE, "cd"),
        ("status eq 'active'", ""),
        # Combinations, as in a user filter joined with that of a window.
        ("(startswith(userphonenumber, '123456000')) and (Status ne 'Ended')", "abe"),
        ("(endswith(UserPhoneNumber,'a') or endswith(UserPhoneNumber,'d'))", "ad"),
        ("Status ne 'Active' and (name eq null or startswith(Name, 'Zoë'))", "cd"),
        ("(Status eq 'Active' or (Name ne null and (Status eq 'Ended')))", "ade"),
        ("CreatedDateTime ge 2022-10-25T12:00:00Z and (endswith(name, 'Smith'))", "d"),
        ("Status ne 'Active' or Status eq 'Active' and startswith(name, 'Jane')", "abcd"),
        ("(Status eq 'Ended') or(Status eq 'Active')", "acde"),
        ("( Status eq 'Ended' )", "cd"),
        # Rejected.
        ("", None),
        ("CreatedDateTime", None),
        ("CreatedDateTime ge", None),
        ("CreatedDateTime GE 2022-10-25T12:00:00Z", None),
        ("CreatedDateTime ge '2022-10-25T12:00:00Z'", None),
        ("CreatedDateTime ge 2022-10-25T12:00:00", None),
        ("CreatedDateTime ge 2022-10-25", None),
        ("CreatedDateTime ge 2022-13-25T12:00:00Z", None),
        ("CreatedDateTime ge datetime'2022-10-25T12:00:00Z'", None),
        ("CreatedDateTime  ge  2022-10-25T12:00:00Z and", None),
        ("userphonenumber ne '1234560000", None),
        ("userphonenumber eq 1234560000", None),
        ("name eq true", None),
        ("contains(name, 'Jane')", None),
        ("startswith(name, Jane)", None),
        ("startswith(name)", None),
        ("startswith(CreatedDateTime, '2022')", None),
        ("not startswith(name, 'Jane')", None),
        ("Status in ('Active')", None),
        ("Messages/any(m: m/text eq 'x')", None),
        ("UpdatedDateTime ge 2022-10-25T12:00:00Z", None),
        ("(Status eq 'Active'", None),
        ("Status eq 'Active')", None),
        ("Status eq 'Active' Status eq 'Ended'", None),
        ("Status eq 'Active'and Status eq 'Ended'", None),
        ("Status eq 'Active' AND Status eq 'Ended'", None),
    ],
)
def test_filter(medchat: MedChat, text: str, found: str | None) -> None:
    if found is None:
        assert medchat.get(filter=text).status == 400
    else:
        assert ids(medchat, filter=text) == found


def test_filter_has_at_most_a_hundred_nodes() -> None:
    parse_filter(" or ".join(["Id eq 'a'"] * 25))
    with pytest.raises(QueryError, match="node count"):
        parse_filter(" or ".join(["Id eq 'a'"] * 26))


def test_property_names_are_case_insensitive_by_default(medchat: MedChat) -> None:
    medchat.sandbox.quirks = Quirks(medchat_case_sensitive_names=True)
    assert ids(medchat, filter="Status eq 'Ended'") == "cd"
    assert medchat.get(filter="status eq 'Ended'").status == 400
    assert medchat.get(orderby="createdDateTime").status == 400


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CreatedDateTime", "abcde"),
        ("CreatedDateTime desc", "edcba"),
        ("createddatetime asc", "abcde"),
        ("Status,CreatedDateTime desc", "eadcb"),
        ("Status desc, CreatedDateTime", "bcdae"),
        ("Name", "ceabd"),
        ("CreatedDateTime DESC", None),
        ("CreatedDateTime desc desc", None),
        ("Unknown", None),
        ("", None),
        ("Status,", None),
    ],
)
def test_orderby(medchat: MedChat, text: str, found: str | None) -> None:
    if found is None:
        assert medchat.get(orderby=text).status == 400
    else:
        assert ids(medchat, orderby=text) == found


@pytest.mark.parametrize(
    ("top", "skip", "found"),
    [(2, 0, "ab"), (2, 4, "e"), (9, 1, "bcde"), (0, 0, ""), (1, 5, ""), (1, 99, "")],
)
def test_top_and_skip(medchat: MedChat, top: int, skip: int, found: str) -> None:
    assert ids(medchat, orderby="CreatedDateTime", top=top, skip=skip) == found


@pytest.mark.parametrize(
    "query",
    [
        "$top=-1",
        "$top=x",
        "$top=1.5",
        "$top=99999999999",
        "$skip=-1",
        "$skip=",
        "$count=true",
        "$select=id",
        "$search=x",
        "filter=Status%20eq%20'Active'",
        "$top=1&$top=2",
        "$expand=Unknown",
        "$expand=Messages($top=1)",
        "$expand=",
        "$filter=Status+eq+'Active'",
        "$orderby=CreatedDateTime+desc",
    ],
)
def test_what_the_vendor_does_not_list_is_refused(medchat: MedChat, query: str) -> None:
    assert medchat.raw(query).status == 400


def test_plus_is_a_space_where_the_vendor_is_lenient(medchat: MedChat) -> None:
    medchat.sandbox.quirks = Quirks(medchat_strict_plus=False)
    reply = medchat.raw("$filter=Status+eq+'Ended'")
    assert [row["id"] for row in reply.json] == ["c", "d"]


def test_options_may_be_percent_encoded(medchat: MedChat) -> None:
    reply = medchat.raw(f"%24filter={quote('Status eq ', safe='')}%27Ended%27&%24top=1")
    assert [row["id"] for row in reply.json] == ["c"]


def test_expand_in_any_case_and_order(medchat: MedChat) -> None:
    row = medchat.rows(expand="memberships, Messages", top=1)[0]
    assert row["messages"] == []
    assert row["memberships"] == []
    assert "textBotExecutions" not in row
