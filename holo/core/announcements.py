"""Messages that a peer sends unasked (spec section 7.3): who it is, what is new, why it closes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

from holo.core import limits
from holo.core.address import check_address
from holo.core.carried import Carried, read_carried
from holo.core.cid import Cid
from holo.core.errors import Rejected
from holo.core.fields import Fields
from holo.core.log import HASH_BYTES

VERSION: Final = 1

_AGENT: Final = re.compile(r"[!-~]+(?: [!-~]+)*")
_CODE: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of each side. ``addresses``: where it can be dialled; ``log``: the log-genesis it signs under.

    ``agent`` is for people to read, as ``holo/0.2``.
    """

    agent: str
    addresses: tuple[str, ...]
    log: Cid

    KIND: ClassVar = "hello"
    FIELDS: ClassVar = ("v", "agent", "addresses", "log")

    def as_value(self) -> dict[str, Any]:
        """The message's fields."""
        return {"v": VERSION, "agent": self.agent, "addresses": list(self.addresses), "log": self.log}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields. Also raises ``version-unsupported`` and ``address-invalid``."""
        if fields.integer("v") != VERSION:
            raise Rejected("version-unsupported", "another v than 1", at=fields.at("v"))
        agent = fields.text("agent", limits.AGENT_BYTES)
        if not _AGENT.fullmatch(agent):
            raise fields.fail("agent", "is not printable ASCII with single spaces between")
        addresses = fields.texts("addresses", limits.ADDRESSES_PER_PEER, limits.ADDRESS_BYTES)
        for address in addresses:
            check_address(address)
        return cls(agent, addresses, fields.link("log"))


@dataclass(frozen=True, slots=True)
class ShownHead:
    """A head as it is passed on: its envelope, that of its log's genesis, and a consistency proof.

    ``proof`` shows that the log of the head's size begins with that of ``start`` receipts; 0, and no proof, where the
    receiver is not known to follow the log.
    """

    head: bytes
    genesis: bytes
    start: int
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Heads:
    """The newest heads the sender knows, its own first."""

    items: tuple[ShownHead, ...]

    KIND: ClassVar = "heads"
    FIELDS: ClassVar = ("items",)

    def as_value(self) -> dict[str, Any]:
        """The message's fields."""
        shown = [
            {"head": item.head, "genesis": item.genesis, "from": item.start, "proof": list(item.proof)}
            for item in self.items
        ]
        return {"items": shown}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields."""
        items = fields.items("items", limits.HEADS_PER_MESSAGE, least=1)
        return cls(tuple(_shown_head(item, f"{fields.at('items')}[{index}]") for index, item in enumerate(items)))


@dataclass(frozen=True, slots=True)
class Push:
    """New records, each after what it cites as far as that is among them."""

    records: tuple[Carried, ...]

    KIND: ClassVar = "push"
    FIELDS: ClassVar = ("records",)

    def as_value(self) -> dict[str, Any]:
        """The message's fields."""
        return {"records": [record.as_value() for record in self.records]}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields."""
        return cls(carried_list(fields, "records", limits.RECORDS_PER_PUSH, least=1))


@dataclass(frozen=True, slots=True)
class ShownEvidence:
    """Evidence against somebody, each item by itself."""

    items: tuple[bytes, ...]

    KIND: ClassVar = "evidence"
    FIELDS: ClassVar = ("items",)

    def as_value(self) -> dict[str, Any]:
        """The message's fields."""
        return {"items": list(self.items)}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields."""
        return cls(byte_strings(fields, "items", limits.EVIDENCE_PER_MESSAGE, limits.ANSWER_BYTES, least=1))


@dataclass(frozen=True, slots=True)
class Converged:
    """Convergence receipts that the sender signed, as envelopes."""

    receipts: tuple[bytes, ...]

    KIND: ClassVar = "converged"
    FIELDS: ClassVar = ("receipts",)

    def as_value(self) -> dict[str, Any]:
        """The message's fields."""
        return {"receipts": list(self.receipts)}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields."""
        bound = limits.RECEIPT_BYTES + limits.ENVELOPE_OVERHEAD_BYTES
        return cls(byte_strings(fields, "receipts", limits.CONVERGED_PER_MESSAGE, bound, least=1))


@dataclass(frozen=True, slots=True)
class Bye:
    """The last message: why the sender closes. ``code`` is an error code; one that is not known means "closed"."""

    code: str
    detail: str = ""

    KIND: ClassVar = "bye"
    FIELDS: ClassVar = ("code", "detail")

    def as_value(self) -> dict[str, Any]:
        """The message's fields. A longer ``detail`` is cut."""
        detail = self.detail.encode()[: limits.BYE_DETAIL_BYTES].decode("utf-8", "ignore")
        return {"code": self.code, "detail": detail}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields."""
        code = fields.text("code", limits.CODE_BYTES)
        if not _CODE.fullmatch(code):
            raise fields.fail("code", "is not an error code")
        return cls(code, fields.text("detail", limits.BYE_DETAIL_BYTES))


def byte_strings(fields: Fields, name: str, limit: int, limit_bytes: int, *, least: int = 0) -> tuple[bytes, ...]:
    """A list of byte strings, not empty, of at most ``limit_bytes`` each and what an answer carries together."""
    found = tuple(fields.items(name, limit, least=least))
    if not all(type(item) is bytes and 0 < len(item) <= limit_bytes for item in found):
        raise fields.fail(name, f"holds something that is not a byte string of 1 to {limit_bytes} bytes")
    if sum(map(len, found)) > limits.ANSWER_BYTES:
        raise fields.fail(name, f"has more than {limits.ANSWER_BYTES} bytes together")
    return found


def carried_list(fields: Fields, name: str, limit: int, *, least: int = 0) -> tuple[Carried, ...]:
    """A list of carried records, of at most what an answer carries together."""
    items = fields.items(name, limit, least=least)
    found = tuple(read_carried(item, f"{fields.at(name)}[{index}]") for index, item in enumerate(items))
    check_carried(fields, name, found)
    return found


def check_carried(fields: Fields, name: str, records: tuple[Carried, ...]) -> None:
    """Raises ``field-invalid`` where ``records`` are more together than an answer carries."""
    if sum(len(record.payload) + 98 * len(record.endorsements) for record in records) > limits.ANSWER_BYTES:
        raise fields.fail(name, f"has more than {limits.ANSWER_BYTES} bytes together")


def proof_hashes(fields: Fields, name: str) -> tuple[bytes, ...]:
    """The hashes of a consistency proof."""
    hashes = tuple(fields.items(name, limits.LOG_PROOF_HASHES))
    if not all(type(item) is bytes and len(item) == HASH_BYTES for item in hashes):
        raise fields.fail(name, f"holds something that is not a hash of {HASH_BYTES} bytes")
    return hashes


def _shown_head(value: Any, at: str) -> ShownHead:
    fields = Fields(value, at, ("head", "genesis", "from", "proof"))
    bound = limits.HEAD_BYTES + limits.ENVELOPE_OVERHEAD_BYTES
    start, proof = fields.integer("from"), proof_hashes(fields, "proof")
    if start == 0 and proof:
        raise fields.fail("proof", "is not empty although it is from the beginning")
    return ShownHead(_envelope(fields, "head", bound), _envelope(fields, "genesis", bound), start, proof)


def _envelope(fields: Fields, name: str, limit_bytes: int) -> bytes:
    value = fields.of(name)
    if type(value) is not bytes or not 0 < len(value) <= limit_bytes:
        raise fields.fail(name, f"is not a byte string of 1 to {limit_bytes} bytes")
    return value
