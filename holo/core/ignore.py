"""What a folder's ``.holoignore`` leaves out of its pack.

The file decides which CID a folder has, so its language is small, written down here and refused where it is not
understood; another program's idea of ignore files, which changes with its versions, would not do. It is read at the
top of the folder only, as UTF-8 of at most 64 KiB, one rule a line. Empty lines and lines that start with ``#`` say
nothing, spaces at the end of a line are dropped. It is itself a file of the pack.

- ``*`` any characters of one component, ``?`` one of them, ``[abc]`` ``[a-z]`` ``[!abc]`` one of, or none of, ASCII
  letters, digits and ``. _ - ~ + @ = ,``; ``**`` as a whole component any number of folders, none included, and at
  the end everything below. Everything else stands for itself; case counts.
- A rule with a slash anywhere but at its end is about the path from the top; without one, about that name at any depth.
- A final ``/`` makes it about folders only; a leading ``/`` is not part of the path.
- ``!`` in front takes back what a rule above left out. The last rule that matches decides.
- What lies below a folder that is left out is out; no rule brings it back.
- A backslash, and a bracket that is not one of the above, are refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from holo.core.errors import Rejected
from holo.core.limits import IGNORE_FILE_BYTES, IGNORE_RULES, PACK_DEPTH

FILE_NAME: Final = ".holoignore"

_MEMBER: Final = r"[A-Za-z0-9._~+@=,-]"
_MARK: Final = re.compile(rf"\*+|\?|\[!?{_MEMBER}+\]|[^*?\[\]]+")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: the components it is made of, None standing for ``**``."""

    components: tuple[re.Pattern[str] | None, ...]
    takes_back: bool
    folders_only: bool

    def matches(self, path: Sequence[str]) -> bool:
        """Whether the rule is about the path of these components."""
        # Every place in the rule that the path so far can have led to: no backtracking, whatever the rule.
        places = self._spread({0})
        for component in path:
            reached = set()
            for place in places:
                wanted = self.components[place] if place < len(self.components) else _NOTHING
                if wanted is None:
                    reached.add(place)
                elif wanted.fullmatch(component):
                    reached.add(place + 1)
            places = self._spread(reached)
        return len(self.components) in places

    def _spread(self, places: set[int]) -> set[int]:
        """``places`` and those behind each ``**`` that stands for no folder."""
        spread = set(places)
        for place in sorted(places):
            while place < len(self.components) and self.components[place] is None:
                place += 1
                spread.add(place)
        return spread


@dataclass(frozen=True, slots=True)
class Ignore:
    """The rules of one ``.holoignore``."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The rules this file holds. Raises ``ignore-invalid`` with the line."""
        if len(data) > IGNORE_FILE_BYTES:
            raise Rejected("ignore-invalid", f"{len(data)} bytes where at most {IGNORE_FILE_BYTES} are allowed")
        try:
            lines = data.decode("utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise Rejected("ignore-invalid", f"not UTF-8: {error}") from None
        rules = []
        for number, line in enumerate(lines, start=1):
            text = line.removesuffix("\r").rstrip(" ")
            if text and not text.startswith("#"):
                try:
                    rules.append(_parse_rule(text))
                except Rejected as error:
                    error.at = f"line {number}"
                    raise
        if len(rules) > IGNORE_RULES:
            raise Rejected("ignore-invalid", f"{len(rules)} rules where at most {IGNORE_RULES} are allowed")
        return cls(tuple(rules))

    def leaves_out(self, path: str, *, is_folder: bool) -> bool:
        """Whether ``path`` is left out, given that no folder above it is."""
        components = path.split("/")
        for rule in reversed(self.rules):
            if (is_folder or not rule.folders_only) and rule.matches(components):
                return not rule.takes_back
        return False


def _parse_rule(text: str) -> Rule:
    pattern = text.removeprefix("!")
    folders_only = pattern.endswith("/")
    path = pattern.removesuffix("/")
    names = path.removeprefix("/").split("/")
    if "" in names or len(names) > PACK_DEPTH:
        raise Rejected("ignore-invalid", f"{text!r} has an empty component, or more than {PACK_DEPTH} of them")
    if "/" not in path:
        names = ["**", *names]
    components = [None if name == "**" else _component(name) for name in names]
    if components[-1] is None:  # everything below, and not the folder itself
        components.append(_component("*"))
    return Rule(tuple(components), takes_back=pattern != text, folders_only=folders_only)


def _component(name: str) -> re.Pattern[str]:
    """The expression for one component, without a way to backtrack between its stars."""
    marks = _MARK.findall(name)
    if "".join(marks) != name or "\\" in name:
        raise Rejected("ignore-invalid", f"{name!r} has a backslash or a bracket that is not understood")
    pieces = [""]  # what stands between stars
    for mark in marks:
        if mark[0] == "*":
            pieces.append("")
        elif mark == "?":
            pieces[-1] += "."
        elif mark[0] == "[":
            pieces[-1] += _class(mark)
        else:
            pieces[-1] += re.escape(mark)
    if len(pieces) == 1:
        return re.compile(pieces[0], re.DOTALL)
    first, *middle, last = pieces
    # The leftmost place each piece fits is as good as any other, so it is kept once found.
    return re.compile(first + "".join(f"(?>.*?{piece})" for piece in middle) + ".*" + last, re.DOTALL)


def _class(mark: str) -> str:
    negated = mark.startswith("[!")
    members = mark[2 if negated else 1 : -1]
    parts = []
    at = 0
    while at < len(members):
        if members[at + 1 : at + 2] == "-" and at + 2 < len(members):
            if members[at] > members[at + 2]:
                raise Rejected("ignore-invalid", f"{mark!r} has a range that runs backwards")
            parts.append(f"{re.escape(members[at])}-{re.escape(members[at + 2])}")
            at += 3
        else:
            parts.append(re.escape(members[at]))
            at += 1
    return f"[{'^' if negated else ''}{''.join(parts)}]"


_NOTHING: Final = re.compile(r"(?!)")
