"""The chart of a soak: one panel a figure over time, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bench.soak import Sample

_WIDTH: Final = 720
_PANEL: Final = 110
_LEFT: Final = 70
_RIGHT: Final = 20
_TOP: Final = 44
_GAP: Final = 34

_PANELS: Final[tuple[tuple[str, Callable[[Sample], float]], ...]] = (
    ("anonymous memory, MB", lambda sample: sample.anonymous_bytes / 1e6),
    ("open descriptors", lambda sample: float(sample.descriptors)),
    ("disk, MB", lambda sample: sample.disk_bytes / 1e6),
    ("reads a second", lambda sample: sample.reads_per_s),
    ("read P99, ms", lambda sample: sample.read_p99_ms),
    ("publish P99, ms", lambda sample: sample.publish_p99_ms),
    ("CPU, cores", lambda sample: sample.cpu_share),
)


def draw(samples: Sequence[Sample], title: str) -> str:
    """The samples as an SVG document; every panel starts at zero, so that flat looks flat."""
    height = _TOP + len(_PANELS) * (_PANEL + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12" fill="#333">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="24" font-size="16">A node under steady load: {title}</text>',
    ]
    for number, (label, figure) in enumerate(_PANELS):
        parts += _panel(samples, label, figure, _TOP + number * (_PANEL + _GAP))
    return "\n".join([*parts, "</svg>", ""])


def _panel(samples: Sequence[Sample], label: str, figure: Callable[[Sample], float], top: int) -> list[str]:
    values = [figure(sample) for sample in samples]
    highest, last_s = max(values) or 1.0, samples[-1].at_s or 1.0
    bottom, right = top + _PANEL, _WIDTH - _RIGHT
    points = " ".join(
        f"{_LEFT + (right - _LEFT) * sample.at_s / last_s:.1f},{bottom - (_PANEL - 20) * value / highest:.1f}"
        for sample, value in zip(samples, values, strict=True)
    )
    return [
        f'<text x="{_LEFT}" y="{top + 8}">{label}</text>',
        f'<line x1="{_LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}" stroke="#999"/>',
        f'<text x="{_LEFT - 6}" y="{top + 24}" text-anchor="end">{highest:,.4g}</text>',
        f'<text x="{_LEFT - 6}" y="{bottom + 4}" text-anchor="end">0</text>',
        f'<text x="{right}" y="{bottom + 14}" text-anchor="end">{last_s:,.0f} s</text>',
        f'<polyline points="{points}" fill="none" stroke="#2458a6" stroke-width="1.5"/>',
    ]
