from __future__ import annotations

import typing as t

import pytest

from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.http.client import Request
from tap_medchat_swell.http.responses import ResponseError
from tap_medchat_swell.medchat.nested_pages import NestedPages

BASE = "https://medchat.example/smschatapi"
LINK = "Messages@odata.nextLink"
NOWHERE = object()


class Pages:
    """Answers from a list, the last one again and again; in place of a client."""

    def __init__(self, *pages: t.Any) -> None:
        self.pages = pages
        self.asked: list[str] = []

    def fetch(self, request: Request) -> t.Any:
        page = self.pages[min(len(self.asked), len(self.pages) - 1)]
        self.asked.append(request.url)
        if page is NOWHERE:
            error = VendorError("not there")
            error.status = 404
            raise error
        return request.read(page(len(self.asked)) if callable(page) else page, 0)


def rows(*numbers: int) -> list[dict[str, int]]:
    return [{"id": number} for number in numbers]


def page(numbers: list[int], link: str | None = None, name: str = "value") -> dict[str, t.Any]:
    return {name: rows(*numbers)} | ({"@odata.nextLink": f"{BASE}/x?{link}"} if link else {})


def completed(pages: Pages) -> dict[str, t.Any]:
    """A chat with one message and a link to the pages; messages as their numbers."""
    chat: dict[str, t.Any] = {"id": "c", "Messages": rows(0), LINK: f"{BASE}/x?1"}
    cut = NestedPages(pages.fetch, f"{BASE}/smsChats")
    cut.complete([chat], Request(f"{BASE}/smsChats?$top=1", "chats", lambda document, _: document))
    return chat | {"Messages": [message["id"] for message in chat["Messages"]]}


@pytest.mark.parametrize(
    "last",
    [
        [page([3])],
        [page([3], "3"), page([])],
        [page([3], name="items")],
        [rows(3)],
    ],
)
def test_all_pages_are_appended(last: list[t.Any]) -> None:
    pages = Pages(page([1, 2], "2"), *last)

    assert completed(pages) == {"id": "c", "Messages": [0, 1, 2, 3]}


@pytest.mark.parametrize(
    "odd", [None, 17, "Server busy", True, ["busy"], {"value": [], "error": {"code": "x"}}, {}]
)
def test_an_odd_answer_is_not_the_end(odd: object) -> None:
    with pytest.raises(ResponseError):
        completed(Pages(page([1], "2"), odd))


@pytest.mark.parametrize(
    ("pages", "requests"),
    [
        ([page([1], "2"), page([2], "1")], 2),
        ([page([1], "2"), page([2], "2")], 2),
        ([page([1], "2"), page([2], "3"), lambda asked: page([2], f"s={asked}")], 3),
        ([page([1], "2"), page([2], "3"), NOWHERE], 3),
    ],
    ids=["circle", "to itself", "same page under new links", "not found"],
)
def test_a_link_that_cannot_be_followed_stays_and_what_came_is_kept(
    pages: list[t.Any], requests: int
) -> None:
    served = Pages(*pages)
    chat = completed(served)

    assert (chat["Messages"], LINK in chat) == ([0, 1, 2], True)
    assert len(served.asked) == requests


def test_links_are_not_followed_forever() -> None:
    endless = Pages(lambda asked: page([asked], f"{asked + 1}"))
    chat = completed(endless)

    assert chat["Messages"] == list(range(1001))
    assert LINK in chat
