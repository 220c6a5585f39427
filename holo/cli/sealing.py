"""Seals as their makers see them: which statements of a namespace a new policy keeps, and which it drops.

A seal is the root of a tree like the namespace's own: path → the one or two current statements with the positions of
their endorsers in the policy each cites. Only the nodes that the node lacks are sent along.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from holo.cli.signing import open_item
from holo.client import Client
from holo.core import tree
from holo.core.binding import Binding, judge
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import Record
from holo.core.errors import Missing, Rejected
from holo.core.keys import Kid
from holo.core.names import Name
from holo.core.policy import Policy
from holo.core.receipt import open_binding_receipt
from holo.core.state import Cited, cited_value, parse_current
from holo.http.base64url import decode_base64url

Held = tuple[Binding, Record]

_COUNTED: Final = ("current", "forked", "held")


@dataclass(slots=True)
class Selection:
    """What a seal would keep of each name; ``dropped`` and ``restored`` are where that differs from what is current."""

    current: Mapping[Name, Sequence[Held]]
    kept: dict[Name, Sequence[Held]]
    dropped: list[Name] = field(default_factory=list)
    restored: dict[Name, int] = field(default_factory=dict)

    def signed_by(self, kid: Kid) -> list[Name]:
        """The kept names that ``kid`` has endorsed: what the owner of a stolen key wants to look at."""
        return [name for name, held in self.kept.items() if any(kid in record.endorsements for _, record in held)]


def read_current(client: Client, ns: str) -> Selection:
    """Everything that is current in a namespace, every signature checked here; all of it is kept so far."""
    found: dict[Name, list[Held]] = {}
    for item in client.bindings(ns):
        name = Name.parse(item.name)
        found.setdefault(name, []).append(open_item(item, name))
    return Selection(found, dict(found))


def drop(selection: Selection, name: Name) -> None:
    """Leave a name out of the seal. Raises ``not-found``."""
    if selection.kept.pop(name, None) is None:
        raise Missing("not-found", f"{name} has nothing to drop", subject=str(name))
    selection.dropped.append(name)


def restore(selection: Selection, client: Client, name: Name, rev: int) -> None:
    """Keep an earlier revision of a name instead of the current one. Raises ``not-found``."""
    items = [item for item in client.history(name.namespace, str(name)) if item.rev == rev and item.state != "pending"]
    if not items:
        raise Missing("not-found", f"{name} has no revision {rev}", subject=str(name))
    selection.kept[name] = [open_item(item, name) for item in items[:2]]
    selection.restored[name] = rev


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal's tree: its root, all its nodes, and those of them that the tree of what is current lacks."""

    root: Cid
    nodes: Sequence[bytes]
    changed: Sequence[bytes]


def build_seal(selection: Selection, policy_of: Callable[[Cid], Policy]) -> Seal:
    """The seal that keeps what is selected. Raises ``seal-invalid``."""
    before = tree.build(_items(selection.current, policy_of))
    after = tree.build(_items(selection.kept, policy_of))
    changed = [data for cid, data in after.added.items() if cid not in before.added]
    return Seal(after.root, list(after.added.values()), changed)


def sealed_statements(root: Cid, nodes: Sequence[bytes], fetch: tree.Read) -> dict[str, list[Cid]]:
    """Path → statements of a seal's tree, from ``nodes`` and from ``fetch``. Raises what ``fetch`` raises."""
    given = {Cid.of(DAG_CBOR, data): data for data in nodes}

    def read(cid: Cid) -> bytes:
        return given[cid] if cid in given else fetch(cid)

    tree.check_tree(read, root)
    found = tree.iterate(read, root)
    return {key.decode(): [cited.statement for cited in parse_current(value)] for key, value in found}


@dataclass(frozen=True, slots=True)
class SealedOut:
    """A statement that was published while a seal was being made, and that the seal does not keep."""

    name: Name
    statement: Cid
    cid: Cid | None
    rev: int


def sealed_out(client: Client, ns: str, since: int, until: int, kept: Container[Cid]) -> list[SealedOut]:
    """What the node took in between two positions of its log, was current then, and is not among ``kept``."""
    found: dict[Name, SealedOut] = {}
    for item in client.receipts(type="binding-receipt", since=since):
        if item.seq >= until:
            break
        receipt = open_binding_receipt(decode_base64url(item.receipt_cose, 1 << 20, at="receipt_cose"))
        if receipt.name.namespace == ns and receipt.state in _COUNTED and receipt.subject not in kept:
            found[receipt.name] = SealedOut(receipt.name, receipt.subject, receipt.cid, receipt.rev)
    return [found[name] for name in sorted(found, key=str)]


def _items(
    names: Mapping[Name, Sequence[Held]], policy_of: Callable[[Cid], Policy]
) -> Iterable[tuple[bytes, list[object]]]:
    for name, held in names.items():
        yield name.path.encode(), cited_value(_cited(binding, record, policy_of) for binding, record in held)


def _cited(binding: Binding, record: Record, policy_of: Callable[[Cid], Policy]) -> Cited:
    positions, need = judge(binding, policy_of(binding.policy), record.endorsements)
    if len(positions) < need:
        raise Rejected(
            "seal-invalid", f"{binding.id} has {len(positions)} of {need} endorsements", subject=str(binding.name)
        )
    return Cited(binding.id, positions)
