"""How vectors are written: groups of cases, one JSON file for the valid ones of a group and one for the invalid ones.

Bytes are hexadecimal, CIDs and keys are in their text form, decoded objects are DAG-JSON. One case takes a few lines,
so that a change of a vector is a change of few lines.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from holo.core.cid import Cid
from holo.core.envelope import Record, make_record, make_statement
from holo.core.keys import did_of
from tests.records import key

Json = Any


@dataclass(frozen=True)
class Case:
    """One vector. An invalid one has ``code``, ``of`` (group/name of the valid one it was made from) and ``change``."""

    name: str
    op: str
    input: dict[str, Json]
    result: Json = None
    of: str | None = None
    change: str | None = None
    code: str | None = None


@dataclass
class Group:
    """The vectors of one subject. ``about`` says in a sentence what they are about.

    ``records`` are those that cases name by label, instead of each holding its own copy.
    """

    name: str
    about: str
    cases: list[Case] = field(default_factory=list)
    records: dict[str, Json] = field(default_factory=dict)

    def valid(self, name: str, op: str, result: Json, /, **input: Json) -> None:
        """Add a case that has to be accepted with this result."""
        self._add(Case(name, op, input, result))

    def invalid(self, name: str, op: str, code: str, of: str, change: str, /, **input: Json) -> None:
        """Add a case that has to be refused with ``code``: the valid case ``of`` but for one ``change``."""
        self._add(Case(name, op, input, of=f"{self.name}/{of}", change=change, code=code))

    def _add(self, case: Case) -> None:
        assert all(case.name != other.name or (case.code is None) != (other.code is None) for other in self.cases), (
            f"{self.name}/{case.name} twice"
        )
        self.cases.append(case)

    def files(self) -> dict[str, str]:
        """Path below fixtures/ → content."""
        files = {}
        for folder, cases in (
            ("valid", [case for case in self.cases if case.code is None]),
            ("invalid", [case for case in self.cases if case.code is not None]),
        ):
            if cases:
                files[f"{folder}/{self.name}.json"] = self._text(cases)
        return files

    def _text(self, cases: list[Case]) -> str:
        lines = ["{", f' "about": {_compact(self.about)},']
        used = {label for case in cases for label in _labels(case.input)}
        rows = [f"  {_compact(label)}: {_compact(value)}" for label, value in self.records.items() if label in used]
        if rows:
            lines.append(' "records": {\n' + ",\n".join(rows) + "\n },")
        lines.append(' "cases": [')
        lines.append(",\n".join(_case_text(case) for case in cases))
        lines.append(" ]\n}\n")
        return "\n".join(lines)


def dag_json(value: Any) -> Json:
    """The DAG-JSON form of a decoded object."""
    if isinstance(value, Cid):
        return {"/": str(value)}
    if isinstance(value, bytes):
        return {"/": {"bytes": base64.b64encode(value).decode().rstrip("=")}}
    if isinstance(value, dict):
        return {key: dag_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [dag_json(item) for item in value]
    return value


def envelopes(record: Record) -> list[str]:
    """A record's envelopes in hexadecimal."""
    return [data.hex() for data in record.envelopes()]


def opened(record: Record) -> Json:
    """What opening a record gives."""
    return {
        "id": str(record.statement.id),
        "value": dag_json(record.statement.value),
        "endorsers": [did_of(who) for who in sorted(record.endorsements)],
    }


def signed(value: Mapping[str, Any], *signers: str) -> list[str]:
    """The envelopes of a record of this payload."""
    return envelopes(make_record(make_statement(value), *(key(name) for name in signers)))


DELETED: Final = object()


def changed(value: Any, path: Sequence[object], new: Any = DELETED) -> Any:
    """``value`` with what lies at ``path`` replaced, added or, by default, deleted."""
    at, *rest = path
    made: Any = dict(value) if isinstance(value, Mapping) else list(value)
    if rest:
        made[at] = changed(made[at], rest, new)
    elif new is DELETED:
        del made[at]
    else:
        made[at] = new
    return made


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    """``data`` with one bit changed; ``at`` counts bytes, from the end where negative."""
    at %= len(data)
    return data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :]


def _labels(given: Mapping[str, Json]) -> Iterator[str]:
    """The labels of records that a case may name."""
    for value in given.values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield item


def _case_text(case: Case) -> str:
    parts: list[tuple[str, Json]] = [("name", case.name), ("op", case.op)]
    if case.code is None:
        parts += [("input", case.input), ("result", case.result)]
    else:
        parts += [("of", case.of), ("change", case.change), ("input", case.input), ("code", case.code)]
    return "  {" + ",\n   ".join(f'"{key}": {_compact(value)}' for key, value in parts) + "}"


def _compact(value: Json) -> str:
    return json.dumps(value, separators=(", ", ": "))
