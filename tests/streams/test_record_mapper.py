from __future__ import annotations

import typing as t

import pytest

from tap_medchat_swell.conversions import (
    MAX_DEPTH,
    MAX_FIELDS,
    RowTooLargeError,
    as_key,
    clean_json,
    snake_case,
)
from tap_medchat_swell.record_mapper import RowMapper, key_finder, merge_schemas, per_shape

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
            "items": {
                "type": ["object"],
                "properties": {
                    "id": {"type": ["integer", "null"]},
                    "name": NULLABLE_TEXT,
                    "additional_properties": NULLABLE_TEXT,
                },
            },
        },
        "additional_properties": {"type": ["object", "null"]},
    },
}
BLANK = dict.fromkeys(SCHEMA["properties"])


def record(row: dict[str, t.Any], **kwargs: t.Any) -> dict[str, t.Any]:
    return RowMapper(SCHEMA, **kwargs).record(row)


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
def test_no_unknown_key_ever_takes_the_place_of_another(keys: tuple[str, ...]) -> None:
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


@pytest.mark.parametrize(
    ("item", "filled_columns"),
    [
        ("VIP", {"name": "VIP"}),
        (3, {"name": "3"}),
        (True, {"name": "true"}),
        (None, {}),
        ({}, {}),
        ({"Id": "3", "Name": "VIP"}, {"id": 3, "name": "VIP"}),
        (
            {"id": 3, "name": "VIP", "teamName": "a", "Pivot": {"tagId": 3}},
            {
                "id": 3,
                "name": "VIP",
                "additional_properties": '{"team_name":"a","pivot":{"tag_id":3}}',
            },
        ),
        ({"id": "T-3"}, {"additional_properties": '{"id":"T-3"}'}),
        (
            {"additional_properties": "x"},
            {"additional_properties": '{"additional_properties":"x"}'},
        ),
        (["a"], {"additional_properties": '{"name":["a"]}'}),
    ],
)
def test_items_of_a_list_are_objects_and_lose_nothing(
    item: object, filled_columns: dict[str, object]
) -> None:
    blank = {"id": None, "name": None, "additional_properties": None}

    assert filled({"tags": [item, "x"]}) == {
        "tags": [blank | filled_columns, blank | {"name": "x"}],
    }


def test_a_value_in_place_of_a_list_is_kept_aside() -> None:
    assert filled({"tags": "a,b"}) == {"additional_properties": {"tags": "a,b"}}


CONTACT: dict[str, t.Any] = {
    "type": ["object", "null"],
    "properties": {
        "id": {"type": ["integer", "null"]},
        "name": NULLABLE_TEXT,
        "vip": {"type": ["boolean", "null"]},
        "score": {"type": ["number", "null"]},
        "seen_at": {"type": ["string", "null"], "format": "date-time"},
        "country": {"type": ["object", "null"], "properties": {"code": NULLABLE_TEXT}},
        "tags": SCHEMA["properties"]["tags"],
        "words": {"type": ["array", "null"], "items": {"type": ["string", "null"]}},
    },
}


@pytest.mark.parametrize(
    "contact",
    [
        {},
        {"id": 7, "name": "A", "vip": True, "country": {"code": "US"}, "tags": []},
        {"name": None, "country": None, "tags": None},
        {"tags": ["VIP", {"id": 3, "name": "x"}, {}]},
        {
            "tags": [
                "VIP",
                None,
                3,
                {"id": "3"},
                {"id": 3, "more": 1},
                {"additional_properties": "x"},
            ]
        },
        {"id": "7"},
        {"id": True},
        {"id": 2**63},
        {"id": 2**63 - 1},
        {"id": 7.0},
        {"name": 7},
        {"vip": 1},
        {"Name": "A"},
        {"country": {"code": "US", "flag": "*"}},
        {"country": {}},
        {"score": 7},
        {"seen_at": "2026-01-02"},
        {"words": ["a", None, 3]},
        {"more": 1},
    ],
)
def test_the_short_way_for_nested_objects_gives_the_same(contact: dict[str, t.Any]) -> None:
    mapper = RowMapper(CONTACT)

    result = mapper.nested(contact)

    assert (result if isinstance(result, tuple) else (result, {})) == mapper.split(contact)


def test_a_nested_object_that_fits_takes_the_short_way() -> None:
    contact = {"id": 7, "country": {"code": "US"}, "tags": ["VIP", {"id": 3}]}

    assert RowMapper(CONTACT)._exact_record(contact) == RowMapper(CONTACT).split(contact)[0]


def test_a_misfit_and_an_unknown_key_of_one_name_are_both_kept() -> None:
    extras = record({"unreadCount": "many", "UnreadCount": 5})["additional_properties"]

    assert sorted(map(str, extras.values())) == ["5", "many"]


class TestDeclaredColumns:
    """What users may declare in the catalog, in the forms in which JSON schemas say it."""

    @pytest.mark.parametrize(
        ("definition", "value", "typed"),
        [
            ({"type": "string"}, 7, "7"),
            ({"type": ["string", "null"]}, "seven", "seven"),
            ({"type": "integer"}, "7", 7),
            ({"type": ["null", "integer"]}, 7.0, 7),
            ({"type": "number"}, "7.25", 7.25),
            ({"type": "number"}, 7, 7),
            ({"type": "number"}, 7.25, 7.25),
            ({"type": "number"}, "", None),
            ({"type": "boolean"}, "true", True),
            (
                {"type": "string", "format": "date-time"},
                "2026-01-02",
                "2026-01-02T00:00:00.000000Z",
            ),
            ({"type": "string", "format": "date"}, "2026-01-02", "2026-01-02"),
            ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, "7", 7),
            ({"type": "object"}, {"userName": 7}, {"user_name": 7}),
            (
                {"type": "object", "properties": {"user_name": {"type": "string"}}},
                {"userName": 7},
                {"user_name": "7"},
            ),
            ({"type": "array"}, [7, {"userName": 7}], [7, {"user_name": 7}]),
            ({"type": "array", "items": {"type": "integer"}}, ["7", None], [7, None]),
            (
                {
                    "type": "array",
                    "items": {"type": "object", "properties": {"id": {"type": "integer"}}},
                },
                [{"Id": "3", "ZipCode": "9"}],
                [{"id": 3, "zip_code": "9"}],
            ),
            ({"type": ["string", "integer"]}, 7, 7),
            ({}, {"userName": 7}, {"user_name": 7}),
        ],
    )
    @pytest.mark.parametrize(
        "key", ["referralCode", "referral_code", "REFERRALCODE", "@referral.code"]
    )
    def test_are_filled_and_leave_the_rest(
        self, definition: dict[str, t.Any], value: object, typed: object, key: str
    ) -> None:
        declared = {"properties": {"referral_code": definition}}

        row = RowMapper(merge_schemas(SCHEMA, declared)).record({"id": "a", key: value})

        assert row["referral_code"] == typed
        assert type(row["referral_code"]) is type(typed)
        assert row["additional_properties"] is None

    @pytest.mark.parametrize(
        ("definition", "value"),
        [
            ({"type": "number"}, "seven"),
            ({"type": "number"}, True),
            ({"type": "number"}, "1e999"),
            ({"type": "object"}, "text"),
            ({"type": "object", "properties": {"a": {}}}, [1]),
            ({"type": "array"}, "text"),
            ({"type": "array", "items": {"type": "integer"}}, [1, "seven"]),
            (
                {
                    "type": "array",
                    "items": {"type": "object", "properties": {"id": {"type": "integer"}}},
                },
                [{"id": 3}, "x"],
            ),
            ({"type": ["string", "integer"]}, [7]),
        ],
    )
    def test_what_does_not_fit_is_kept_aside(
        self, definition: dict[str, t.Any], value: object
    ) -> None:
        mapper = RowMapper(merge_schemas(SCHEMA, {"properties": {"code": definition}}))

        row = mapper.record({"code": value})

        assert row["code"] is None
        assert row["additional_properties"] == {"code": value}

    def test_nested_ones_are_filled_too(self) -> None:
        nick_name = {"contact": {"properties": {"nick_name": {"type": "string"}}}}

        row = RowMapper(merge_schemas(SCHEMA, {"properties": nick_name})).record(
            {"contact": {"Name": "A", "NickName": "B"}}
        )

        assert row["contact"] == {"name": "A", "nick_name": "B", "country_code": None}
        assert row["additional_properties"] is None


def test_constants_are_in_every_record_whatever_the_vendor_sends() -> None:
    row = record({"id": "a", "Unread_Count": 5}, constants={"unread_count": "fixed"})

    assert row["unread_count"] == "fixed"
    assert row["additional_properties"] == {"unread_count": 5}


def test_a_long_id_becomes_a_hash() -> None:
    longest = "x" * 255

    assert as_key(longest) == longest
    assert as_key(7) == "7"
    assert len(as_key(longest + "a")) == 64
    assert as_key(longest + "a") != as_key(longest + "b")


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
    rows, find, cached = RowMapper(SCHEMA), key_finder("id"), per_shape(len)
    for number in range(2000):
        assert rows.record({"id": "a", f"k{number}": 1})["id"] == "a"
        assert find({"ID": "a", f"k{number}": 1}) == "a"
        assert cached(("id", f"k{number}")) == 2

    caches: list[t.Any] = [rows._plans, cached]
    for cache in caches:
        assert cache.cache_info().currsize <= 500


def test_rows_of_one_shape_do_not_share_values() -> None:
    rows = RowMapper(SCHEMA)
    first, second = rows.record({"id": "a", "x": 1}), rows.record({"id": "b", "x": 2})

    assert (first["id"], first["additional_properties"]) == ("a", {"x": 1})
    assert (second["id"], second["additional_properties"]) == ("b", {"x": 2})


class TestKeyFinder:
    find = staticmethod(key_finder("id", "chatId"))

    def test_any_casing_and_the_first_name_that_is_there(self) -> None:
        assert self.find({"CHAT_ID": 1, "Id": 2}) == 2
        assert self.find({"chat-id": 1}) == 1

    def test_nothing_found(self) -> None:
        assert self.find({"other": 1}) is None
        assert self.find({}) is None
