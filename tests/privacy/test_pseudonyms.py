from __future__ import annotations

import hashlib
import hmac

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_medchat_swell.privacy.pseudonyms import (
    _NORTH_AMERICAN,
    Code,
    is_region,
    keyed_hash,
    normalize_phone,
    pseudonymizers,
    surrogate,
)

KEY = "a-key-of-the-test"
SPELLINGS = [
    "2175550199",
    "217-555-0199",
    "(217) 555-0199",
    "217.555.0199",
    " 217 555 0199 ",
    "12175550199",
    "1-217-555-0199",
    "1 (217) 555 0199",
    "+12175550199",
    "+1 (217) 555-0199",
    "tel:+1-217-555-0199",
    "２１７５５５０１９９",  # noqa: RUF001 - full-width digits
    "217-555-0199 ext. 5",
]


@pytest.fixture
def codes() -> dict[str, Code]:
    return pseudonymizers(KEY, "US")


def by_hand(kind: str, form: str) -> str:
    return hmac.new(KEY.encode(), f"{kind}\0{form}".encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("key", "data", "digest"),
    [  # RFC 4231, test cases 1 to 4, 6 and 7
        (
            b"\x0b" * 20,
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            b"\xaa" * 20,
            b"\xdd" * 50,
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            bytes(range(1, 26)),
            b"\xcd" * 50,
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            b"\xaa" * 131,
            (
                b"This is a test using a larger than block-size key and a larger than "
                b"block-size data. The key needs to be hashed before being used by the "
                b"HMAC algorithm."
            ),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ],
)
def test_rfc_4231(key: bytes, data: bytes, digest: str) -> None:
    assert keyed_hash(key)(data) == digest


@given(st.binary(max_size=200), st.lists(st.binary(max_size=200), max_size=3))
def test_one_key_for_many_messages(key: bytes, messages: list[bytes]) -> None:
    code = keyed_hash(key)

    assert [*map(code, messages)] == [hmac.new(key, m, "sha256").hexdigest() for m in messages]


@pytest.mark.parametrize("spelling", [*SPELLINGS, 2175550199])
def test_spellings_of_one_phone(codes: dict[str, Code], spelling: object) -> None:
    assert codes["phone"](spelling) == by_hand("phone", "+12175550199")


def test_the_region_is_for_numbers_without_a_country_code(codes: dict[str, Code]) -> None:
    british = pseudonymizers(KEY, "GB")["phone"]

    assert british("020 7946 0958") == codes["phone"]("+44 20 7946 0958")
    assert british("020 7946 0958") != codes["phone"]("020 7946 0958")
    assert british("+1 217 555 0199") == codes["phone"]("2175550199")


@pytest.mark.parametrize("text", ["unknown", "Blocked  Caller", "n/a", "9" * 400, "\ud800"])
def test_what_is_no_phone_is_hashed_all_the_same(codes: dict[str, Code], text: str) -> None:
    code = codes["phone"](text)

    assert code == codes["phone"](f" {text.upper()} ")
    assert code is not None
    assert len(code) == 64
    assert text not in code
    assert code != codes["name"](text)


def test_emails(codes: dict[str, Code]) -> None:
    assert codes["email"](" Pat@Example.COM\n") == by_hand("email", "pat@example.com")
    assert codes["email"]("pat+1@example.com") != codes["email"]("pat@example.com")


@pytest.mark.parametrize("name", ["Zoë  Straße", "ZOË STRASSE", " zoe\u0308\tstrasse\n"])
def test_names(codes: dict[str, Code], name: str) -> None:
    assert codes["name"](name) == by_hand("name", "zoë strasse")


@pytest.mark.parametrize("kind", ["name", "phone", "email"])
@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_nothing_has_no_pseudonym(codes: dict[str, Code], kind: str, nothing: object) -> None:
    assert codes[kind](nothing) is None


def test_kinds_and_keys_differ(codes: dict[str, Code]) -> None:
    others = pseudonymizers("another-key-of-it", "US")
    made = [code("217-555-0199") for code in (*codes.values(), *others.values())]

    assert len(set(made)) == 6


def test_other_values_than_text_are_hashed(codes: dict[str, Code]) -> None:
    assert codes["name"]({"first": "Pat"}) == by_hand("name", '{"first": "pat"}')


def test_surrogates_hold_in_their_scope_only() -> None:
    made = {
        surrogate(key, *scope)(7)
        for key in (KEY, "another-key-of-it")
        for scope in [("1", "north", "a.id"), ("2", "north", "a.id"), ("1", "south", "a.id")]
    }

    assert len(made) == 6
    assert surrogate(KEY, "1")(7) == surrogate(KEY, "1")("7")
    assert surrogate(KEY, "1")(None) is None


@pytest.mark.parametrize(
    ("name", "known"), [("US", True), ("DE", True), ("us", False), ("", False)]
)
def test_regions(name: str, *, known: bool) -> None:
    assert is_region(name) is known


DIGITS = st.text("0123456789", min_size=9, max_size=12)
SEPARATED = st.lists(
    st.sampled_from(["+", "1", "217", "555", "0199", "234", "(", ")", " ", "-", ".", "911", "0"]),
    max_size=12,
).map("".join)


@pytest.mark.unmeasured
@given(st.one_of(DIGITS, SEPARATED, st.from_regex(_NORTH_AMERICAN, fullmatch=True)))
@settings(max_examples=1000)
def test_the_short_way_gives_what_the_library_does(text: str) -> None:
    short = normalize_phone(text, "US")

    if _NORTH_AMERICAN.fullmatch(text):
        number = phonenumbers.parse(text, "US")
        assert short == phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
