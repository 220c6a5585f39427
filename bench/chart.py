"""A plot of how far each goal is passed or missed: bars on a logarithmic scale, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_LEFT, _WIDTH, _LINE, _TOP = 330, 420, 22, 34
_DECADES: Final = 2.0  # a hundredth of the goal to a hundred times it
_REACHED, _MISSED, _INK = "#2a7f62", "#c0392b", "#555"


@dataclass(frozen=True, slots=True)
class Bar:
    """A goal, and how many times better than it the measured figure is."""

    label: str
    margin: float


def draw(bars: Sequence[Bar]) -> str:
    """The plot."""
    height = _TOP + _LINE * len(bars) + 12
    middle = _x(1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 70}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for power in (-2, -1, 0, 1, 2):
        x = _x(10.0**power)
        colour = "black" if power == 0 else "#ddd"
        text = "goal" if power == 0 else f"{10.0**power:g}×"
        parts.append(f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{_TOP - 8}" y2="{height - 8}" stroke="{colour}"/>')
        parts.append(f'<text x="{x:.0f}" y="{_TOP - 14}" text-anchor="middle" fill="{_INK}">{text}</text>')
    for index, bar in enumerate(bars):
        y, end = _TOP + index * _LINE, _x(bar.margin)
        colour = _REACHED if bar.margin >= 1 else _MISSED
        start, width = min(middle, end), max(1.0, abs(end - middle))
        parts.append(f'<text x="{_LEFT - 10}" y="{y + 13}" text-anchor="end">{escape(bar.label)}</text>')
        parts.append(f'<rect x="{start:.1f}" y="{y + 3}" width="{width:.1f}" height="{_LINE - 8}" fill="{colour}"/>')
        beside = f'x="{end + 5:.1f}"' if bar.margin >= 1 else f'x="{end - 5:.1f}" text-anchor="end"'
        parts.append(f'<text {beside} y="{y + 13}" fill="{_INK}">{bar.margin:.2g}×</text>')
    return "\n".join([*parts, "</svg>\n"])


def _x(margin: float) -> float:
    """Where a margin lies."""
    power = max(-_DECADES, min(_DECADES, math.log10(max(margin, 1e-9))))
    return _LEFT + _WIDTH * (power + _DECADES) / (2 * _DECADES)
