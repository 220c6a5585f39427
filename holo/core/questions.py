"""Questions that peers ask each other, and their answers (spec section 7.4).

Items of an answer stand in the order they were asked for; None is what the answerer does not hold. An answer may be
cut: what is behind the cut is asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

from holo.core import limits, names
from holo.core.announcements import carried_list, check_carried, proof_hashes
from holo.core.carried import Carried, read_carried
from holo.core.cid import Cid
from holo.core.errors import Rejected
from holo.core.fields import Fields

ID_MAX: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Want:
    """Objects are asked for by CID: catalogs, namespace states, tree nodes, nodes of seals."""

    id: int
    cids: tuple[Cid, ...]

    KIND: ClassVar = "want"
    FIELDS: ClassVar = ("id", "cids")

    def as_value(self) -> dict[str, Any]:
        """The message's fields."""
        return {"id": self.id, "cids": list(self.cids)}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields."""
        return cls(_id(fields), _wanted(fields, "cids"))


@dataclass(frozen=True, slots=True)
class Objects:
    """The answer to :class:`Want`: bytes that are to match the CIDs, or None."""

    id: int
    items: tuple[bytes | None, ...]

    KIND: ClassVar = "objects"
    FIELDS: ClassVar = ("id", "items")

    def as_value(self) -> dict[str, Any]:
        """The message's fields."""
        return {"id": self.id, "items": list(self.items)}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields."""
        items = tuple(fields.items("items", limits.WANTED_IDS, least=1))
        if not all(item is None or (type(item) is bytes and 0 < len(item) <= limits.NODE_BYTES) for item in items):
            raise fields.fail("items", "holds something that is neither null nor an object")
        if sum(len(item) for item in items if item is not None) > limits.ANSWER_BYTES:
            raise fields.fail("items", f"has more than {limits.ANSWER_BYTES} bytes together")
        return cls(_id(fields), items)


@dataclass(frozen=True, slots=True)
class WantRecords:
    """Records are asked for by statement: of policies, of current, archived and pending bindings."""

    id: int
    statements: tuple[Cid, ...]

    KIND: ClassVar = "want-records"
    FIELDS: ClassVar = ("id", "statements")

    def as_value(self) -> dict[str, Any]:
        """The message's fields."""
        return {"id": self.id, "statements": list(self.statements)}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields."""
        return cls(_id(fields), _wanted(fields, "statements"))


@dataclass(frozen=True, slots=True)
class Records:
    """The answer to :class:`WantRecords`: what is held of each statement, or None."""

    id: int
    items: tuple[Carried | None, ...]

    KIND: ClassVar = "records"
    FIELDS: ClassVar = ("id", "items")

    def as_value(self) -> dict[str, Any]:
        """The message's fields."""
        return {"id": self.id, "items": [None if item is None else item.as_value() for item in self.items]}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields."""
        items = tuple(
            None if item is None else read_carried(item, f"{fields.at('items')}[{index}]")
            for index, item in enumerate(fields.items("items", limits.WANTED_IDS, least=1))
        )
        check_carried(fields, "items", tuple(item for item in items if item is not None))
        return cls(_id(fields), items)


@dataclass(frozen=True, slots=True)
class Span:
    """What is current in a namespace, from the name after the path ``after`` on; where it is empty, from the first."""

    ns: str
    genesis: Cid
    after: str = ""


@dataclass(frozen=True, slots=True)
class WantRange:
    """All that is current is asked for, namespace after namespace: the way of a peer that has nothing."""

    id: int
    spans: tuple[Span, ...]

    KIND: ClassVar = "want-range"
    FIELDS: ClassVar = ("id", "spans")

    def as_value(self) -> dict[str, Any]:
        """The message's fields."""
        return {"id": self.id, "spans": [[span.ns, span.genesis, span.after] for span in self.spans]}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields."""
        items = fields.items("spans", limits.WANTED_RANGES, least=1)
        spans = tuple(_span(item, f"{fields.at('spans')}[{index}]") for index, item in enumerate(items))
        if len({span.ns for span in spans}) != len(spans):
            raise fields.fail("spans", "names a namespace twice")
        return cls(_id(fields), spans)


@dataclass(frozen=True, slots=True)
class Range:
    """The answer to :class:`WantRange`: complete records by path, span after span.

    ``next`` is None at the end, or (index of a span, path): to go on, ask for that span after that path, and for those
    behind it.
    """

    id: int
    records: tuple[Carried, ...]
    next: tuple[int, str] | None

    KIND: ClassVar = "range"
    FIELDS: ClassVar = ("id", "records", "next")

    def as_value(self) -> dict[str, Any]:
        """The message's fields."""
        following = None if self.next is None else list(self.next)
        return {"id": self.id, "records": [record.as_value() for record in self.records], "next": following}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields."""
        records = carried_list(fields, "records", limits.RECORDS_PER_RANGE)
        if any(record.kind != "binding" for record in records):
            raise fields.fail("records", "holds something else than bindings")
        return cls(_id(fields), records, _next(fields))


@dataclass(frozen=True, slots=True)
class WantProof:
    """A consistency proof of a log of the node that is asked, from ``old`` receipts to ``new``."""

    id: int
    log: Cid
    old: int
    new: int

    KIND: ClassVar = "want-proof"
    FIELDS: ClassVar = ("id", "log", "old", "new")

    def as_value(self) -> dict[str, Any]:
        """The message's fields."""
        return {"id": self.id, "log": self.log, "old": self.old, "new": self.new}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields."""
        old = fields.integer("old", 1)
        return cls(_id(fields), fields.link("log"), old, fields.integer("new", old + 1))


@dataclass(frozen=True, slots=True)
class Proof:
    """The answer to :class:`WantProof`: hashes, or None where the log is another's or not so long."""

    id: int
    hashes: tuple[bytes, ...] | None

    KIND: ClassVar = "proof"
    FIELDS: ClassVar = ("id", "hashes")

    def as_value(self) -> dict[str, Any]:
        """The message's fields."""
        return {"id": self.id, "hashes": None if self.hashes is None else list(self.hashes)}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields."""
        return cls(_id(fields), None if fields.null("hashes") else proof_hashes(fields, "hashes"))


def cut_objects(items: Iterable[bytes | None]) -> tuple[bytes | None, ...]:
    """The longest beginning of ``items`` that one answer carries; takes no more of them than that, and one."""
    taken: list[bytes | None] = []
    room = limits.ANSWER_BYTES
    for item in items:
        room -= 0 if item is None else len(item)
        if room < 0:
            break
        taken.append(item)
    return tuple(taken)


def cut_records(items: Iterable[Carried | None]) -> tuple[Carried | None, ...]:
    """The longest beginning of ``items`` that one answer carries; takes no more of them than that, and one."""
    taken: list[Carried | None] = []
    room = limits.ANSWER_BYTES
    for item in items:
        room -= 0 if item is None else item.size_bytes
        if room < 0:
            break
        taken.append(item)
    return tuple(taken)


def _id(fields: Fields) -> int:
    return fields.integer("id", 0, ID_MAX)


def _wanted(fields: Fields, name: str) -> tuple[Cid, ...]:
    fields.items(name, limits.WANTED_IDS, least=1)
    return fields.links(name, limits.WANTED_IDS)


def _namespace(ns: str) -> str:
    names.check_namespace(ns)
    return ns


def _path(value: Any, fail: Rejected) -> str:
    """A path, ``handle/tag``, or nothing. It only has to be comparable: nothing need have this name."""
    if type(value) is not str or not value.isascii() or len(value) > limits.HANDLE_AND_TAG_BYTES + 1:
        raise fail
    return value


def _span(value: Any, at: str) -> Span:
    fail = Rejected("field-invalid", f"{at} is not a namespace, a genesis and a path", at=at)
    if not (type(value) is list and len(value) == 3 and type(value[0]) is str and isinstance(value[1], Cid)):
        raise fail
    return Span(_namespace(value[0]), value[1], _path(value[2], fail))


def _next(fields: Fields) -> tuple[int, str] | None:
    if fields.null("next"):
        return None
    index, path = fields.items("next", 2, least=2)
    fail = fields.fail("next", "is not the index of a span and a path")
    if type(index) is not int or not 0 <= index < limits.WANTED_RANGES:
        raise fail
    return index, _path(path, fail)
