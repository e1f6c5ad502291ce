from __future__ import annotations

import time

import pytest

from tap_medchat_swell.privacy.signals import (
    SIGNALS,
    has_link,
    opt_in_keyword,
    opt_out_keyword,
    opt_out_likely,
)


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        (" Stop. ", "stop"),
        ("“Stop!!”", "stop"),
        ("*stop*\n", "stop"),
        ("stop 🛑", "stop"),
        ("ＳＴＯＰ", "stop"),  # noqa: RUF001 - full-width letters
        ("quit", "quit"),
        ("End", "end"),
        ("REVOKE", "revoke"),
        ("opt out", "opt out"),
        ("Opt-Out", "opt out"),
        ("OPTOUT", "opt out"),
        ("cancel", "cancel"),
        ("Unsubscribe", "unsubscribe"),
        ("STOPALL", "stopall"),
        ("stop all", "stopall"),
        ("Alto", "es:alto"),
        ("¡PARAR!", "es:parar"),
        ("please stop", None),
        ("stop by at 3", None),
        ("cancel my appointment", None),
        ("endless", None),
        ("", None),
        ("!" * 50 + "stop", None),
    ],
)
def test_opt_out_keywords_stand_alone(text: str, keyword: str | None) -> None:
    assert opt_out_keyword(text) == keyword
    assert opt_in_keyword(text) is None


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("START", "start"),
        ("unstop", "unstop"),
        ("Yes!", "yes"),
        ("opt in", "opt in"),
        ("subscribe", "subscribe"),
        ("yes at 3", None),
    ],
)
def test_opt_in_keywords_stand_alone(text: str, keyword: str | None) -> None:
    assert opt_in_keyword(text) == keyword
    assert opt_out_keyword(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "please stop texting me",
        "Please STOP",
        "Stop sending me these messages!",
        "Don't text me again",
        "do not contact me",
        "I no longer want your messages",
        "Unsubscribe me please",
        "I want to opt out of this",
        "Remove me from your list",
        "take me off, no more texts",
        "leave me alone",
        "never call",
        "Dejen de escribirme",
        "No me envíen más mensajes",
        "Dejen de mandar mensajes",
    ],
)
def test_wordings_that_seem_to_opt_out(text: str) -> None:
    assert opt_out_likely(text)
    assert opt_out_keyword(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "stop",
        "Reply STOP to unsubscribe",
        "Clinic: see you at 9. Text STOP to opt out of messages.",
        "I will stop by tomorrow",
        "Should I stop taking the pills?",
        "Please text me the address",
        "cancel my appointment",
        "the bus stop",
        "take me to the clinic",
        "",
    ],
)
def test_wordings_that_do_not(text: str) -> None:
    assert not opt_out_likely(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://clinic.example/a?b=1", True),
        ("www.clinic.example", True),
        ("bit.ly/3xYz", True),
        ("clinic.com", True),
        ("Thanks.see you", False),
        ("at 3.30 p.m.", False),
        ("pat@clinic", False),
        ("", False),
    ],
)
def test_links(text: str, *, expected: bool) -> None:
    assert has_link(text) is expected


def test_the_length_is_in_characters() -> None:
    assert SIGNALS["text_length"]("żółć 🛑") == 6


@pytest.mark.parametrize(
    "text", ["a." * 50_000, "a-" * 50_000, "stop " * 20_000, "no more " * 9000]
)
def test_long_texts_take_no_time(text: str) -> None:
    started = time.process_time()

    for signal in SIGNALS.values():
        signal(text)

    assert time.process_time() - started < 2
