"""Bytes with gaps, cut from what the real encoder wrote: a quick way to the same bytes.

Where the same map is encoded again and again with other values, encode it once with marks in place of the values and
cut at the marks: what lies between can only agree with the encoder. It holds for encodings in which a value takes the
same bytes wherever it stands, as in CBOR and in JSON without white space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Template:
    """``texts`` with a gap between each two of them: one more than there are ``gaps``, which may be the same."""

    texts: tuple[bytes, ...]
    gaps: tuple[str, ...]

    @classmethod
    def cut(cls, data: bytes, marks: Mapping[str, bytes]) -> Self:
        """The template that ``data`` is where each mark is a gap of its name. Every mark has to be there."""
        found: list[tuple[int, int, str]] = []
        for gap, mark in marks.items():
            at = data.find(mark)
            assert at >= 0, f"no mark for {gap}"
            while at >= 0:
                found.append((at, at + len(mark), gap))
                at = data.find(mark, at + len(mark))
        texts, end = [], 0
        for start, stop, _ in sorted(found):
            assert start >= end, "marks overlap"
            texts.append(data[end:start])
            end = stop
        return cls((*texts, data[end:]), tuple(gap for _, _, gap in sorted(found)))

    def form(self) -> bytes:
        """The template as a format for the ``%`` operator and one value for each gap."""
        return b"%b".join(text.replace(b"%", b"%%") for text in self.texts)

    def picker(self, order: Sequence[str]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
        """What picks the values for the :meth:`form` that is left with gaps of ``order`` alone, at least two of them.

        It takes one value for each name in ``order``, and gives one for each gap.
        """
        picked = [order.index(gap) for gap in self.gaps]
        assert len(picked) > 1
        return itemgetter(*picked)
