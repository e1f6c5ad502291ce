"""The picture: two panels of bars, drawn as SVG by hand."""

from __future__ import annotations

import typing as t
from xml.sax.saxutils import escape

from harness.summary import TIMES, Summary, baseline, summaries

Numbers = dict[str, t.Any]
WIDTH, LEFT, BAR, GAP, HEAD = 860, 250, 20, 8, 56
ROOM = WIDTH - LEFT - 80
COLOURS = {"tap": "#0b6e99", "floor": "#b9b9b9"}
OTHERS = "#d9a441"


def svg(numbers: Numbers) -> str:
    """Both regimes, as multiples of the plain SDK tap."""
    panels = []
    top = 10
    for title, bars in _panels(numbers):
        drawing, height = _panel(title, bars, top)
        panels.append(drawing)
        top += height
    body = "\n".join(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" '
        f'viewBox="0 0 {WIDTH} {top}" font-family="sans-serif" font-size="13">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _panels(numbers: Numbers) -> t.Iterator[tuple[str, list[tuple[Summary, float]]]]:
    if "latency" in numbers:
        by_key = summaries(numbers["latency"])
        base = baseline(by_key).wall
        bars = [(one, base / one.wall) for one in by_key.values()]
        yield "100 ms per request: speed, plain SDK tap = 1", bars
    if "no-latency" in numbers:
        by_key = summaries(numbers["no-latency"])
        rate = baseline(by_key).rate
        bars = [(one, one.rate / rate) for one in by_key.values()]
        yield "No latency: records per CPU second, plain SDK tap = 1", bars


def _panel(title: str, bars: list[tuple[Summary, float]], top: int) -> tuple[str, int]:
    most = max(value for _, value in bars)
    lines = [f'<text x="10" y="{top + 22}" font-size="15" font-weight="bold">{title}</text>']
    for number, (one, value) in enumerate(sorted(bars, key=lambda bar: -bar[1])):
        y = top + HEAD - 16 + number * (BAR + GAP)
        lines += _bar(one, value, value / most * ROOM, y)
    return "\n".join(lines), HEAD + len(bars) * (BAR + GAP)


def _bar(one: Summary, value: float, width: float, y: int) -> t.Iterator[str]:
    weight = ' font-weight="bold"' if one.key == "tap" else ""
    note = "" if one.verdict == "all rows" else " (rows missing)"
    middle = y + BAR - 5
    yield f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end"{weight}>{escape(one.title)}</text>'
    colour = COLOURS.get(one.key, OTHERS)
    yield f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>'
    yield f'<text x="{LEFT + width + 6:.1f}" y="{middle}"{weight}>{value:.1f}{TIMES}{note}</text>'
