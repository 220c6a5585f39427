"""The table of error codes in the specification, written from the codes themselves."""

from __future__ import annotations

import ast
from pathlib import Path

from holo.core import errors

_START, _END = "<!-- codes -->\n", "<!-- end of codes -->\n"


def with_table(text: str) -> str:
    """``text`` with the table between its marks made anew."""
    before, _, rest = text.partition(_START)
    _, _, after = rest.partition(_END)
    assert after is not None, "the table's marks are missing"
    assert _START in text
    return before + _START + _table() + _END + after


def _table() -> str:
    lines: list[str] = []
    for section, codes in _sections().items():
        lines += ["", f"## {section[0].upper()}{section[1:]}", "", "| code | HTTP | means | what helps |"]
        lines.append("| --- | --- | --- | --- |")
        for code in codes:
            status, title, fix = errors.CODES[code]
            lines.append(f"| `{code}` | {status} | {title} | {fix} |")
    return "\n".join([*lines, "", ""])


def _sections() -> dict[str, list[str]]:
    """The codes under the comments that head them in the source."""
    source = Path(errors.__file__).read_text()
    module = ast.parse(source)
    table = next(
        node.value
        for node in module.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "CODES"
    )
    assert isinstance(table, ast.Dict)
    lines = source.splitlines()
    sections: dict[str, list[str]] = {}
    at = table.lineno
    for key in table.keys:
        assert isinstance(key, ast.Constant)
        for line in lines[at : key.lineno - 1]:
            if line.startswith("    # "):
                sections[line.removeprefix("    # ")] = []
        list(sections.values())[-1].append(str(key.value))
        at = key.lineno
    assert sorted(code for codes in sections.values() for code in codes) == sorted(errors.CODES)
    return sections
