from __future__ import annotations

import pytest

from tap_medchat_swell.odata_filter import filter_problem

GOOD = [
    # The examples of MedChat's documents.
    "CreatedDateTime gt 2022-10-25T12:00:00Z",
    "CreatedDateTime ge 2022-10-25T12:00:00Z and CreatedDateTime le 2022-10-26T12:00:00Z",
    "userphonenumber eq '1234560000'",
    "Status eq 'Subscribed' or Status eq 'Active'",
    "startswith(name, 'Jane')",
    "endswith(name, 'Smith')",
    "CreatedDateTime ge 2022-10-25T00:00:00Z and (status eq 'Subscribed' or Status eq 'Ended')",
    # Others.
    "Name eq ''",
    "Name eq 'O''Brien'",
    "Name ne 'a (and) b' and Name ne '?'",
    "Name eq 'x eq 1) or (y eq 2'",
    "Name eq 'Zo\u00eb'",
    "((Status eq 'A') or ( UnreadMessageCount gt -1.5 ))",
    "Name eq null or Deleted eq false",
    "Id eq 0b7c1d52-6f0e-4a39-9c55-2f1f4d1b8a10",
    "CreatedDateTime lt 2022-10-25T12:00:00+05:00",
    "Status  eq  'A'  and  endswith( Name , 'x' )",
]
QUOTE, PARENTHESIS = "a quote without", "a parenthesis without"
BAD = [
    ("userphonenumber ne '1234560000", QUOTE),
    ("Name eq 'O'Brien'", QUOTE),
    ("(Status eq 'A'", PARENTHESIS),
    ("Status eq 'A')", PARENTHESIS),
    ("startswith(Name, 'A'", PARENTHESIS),
    ("Status eq 'A'\nor Status eq 'B'", "one line"),
    ("Name eq 'A\x00'", "one line"),
    ("Status eq 'A') or (Status eq 'B'", "made of"),
    ("Status = 'A'", "made of"),
    ("Status eq Jane", "made of"),
    ("Status eq", "made of"),
    ("eq 'A'", "made of"),
    ("Status EQ 'A'", "made of"),
    ("Status eq 'A'or Status eq 'B'", "made of"),
    ("Status eq 'A' or", "made of"),
    ("Status eq 'A' Status eq 'B'", "made of"),
    ("Status eq 'A' xor Status eq 'B'", "made of"),
    ("not (Status eq 'A')", "made of"),
    ("Status in ('A', 'B')", "made of"),
    ("contains(Name, 'A')", "made of"),
    ("startswith('A', Name)", "made of"),
    ("startswith(Name, 5)", "made of"),
    ("startswith(Name, 'A') eq true", "made of"),
    ("Messages/any(m: m/Text eq 'A')", "made of"),
    ("Status eq 'A'&$top=1", "made of"),
    ("Status eq 'A' or ?", "made of"),
    ("?", "made of"),
    ("()", "made of"),
    ("Status eq 1Jane'A'", "made of"),
    ("'x eq 1'", "made of"),
]


@pytest.mark.parametrize("text", GOOD)
def test_documented_filters_are_accepted(text: str) -> None:
    assert filter_problem(text) is None


@pytest.mark.parametrize(("text", "words"), BAD)
def test_others_have_a_sentence(text: str, words: str) -> None:
    problem = filter_problem(text)

    assert problem is not None
    assert words in problem
    assert "Jane" not in problem
