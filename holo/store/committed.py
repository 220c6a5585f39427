"""What a head of this node commits to about one name, and the proof of it, straight out of the store.

:func:`holo.core.bundle.make_bundle` finds out what proves an answer by examining it as a stranger would: it decodes,
hashes and verifies everything. What this node signed and verified itself needs none of that. Here the same parts are
gathered by following the same links; that they are the same is held by tests, bundle by bundle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cbor2

from holo.core.bundle_contents import Contents
from holo.core.chain import HeldCode
from holo.core.cid import Cid
from holo.core.keys import Kid
from holo.core.state import Cited, parse_current, parse_pending, parse_state_value
from holo.core.state_bytes import is_held, links_of
from holo.core.tree_node import Leaf, parse_node
from holo.core.tree_search import find
from holo.store.bindings import boxed
from holo.store.records import RecordsReader
from holo.store.view import View


@dataclass(frozen=True, slots=True)
class Roots:
    """The part of a namespace's state that answers come from, see :class:`~holo.core.state.NamespaceState`."""

    genesis: Cid
    policy: Cid
    held: tuple[HeldCode, Cid] | None
    policies: Cid
    bindings: Cid
    pending: Cid


@dataclass(frozen=True, slots=True)
class Committed:
    """One name. ``roots`` is None where the namespace is not hosted. ``objects`` prove all of it.

    ``waiting`` is what is pending, looked up only where nothing is ``current``.
    """

    path: str
    roots: Roots | None
    current: tuple[Cited, ...]
    waiting: tuple[Cited, ...]
    objects: dict[Cid, bytes]


def look_up(records: RecordsReader, namespaces: Cid, ns: bytes, path: bytes) -> Committed:
    """What the catalog with this tree of namespaces commits to about a name."""
    at_ns = find(records.node, namespaces, ns)
    objects = at_ns.nodes
    if at_ns.value is None:
        return Committed(path.decode(), None, (), (), objects)
    state = parse_state_value(at_ns.value)
    data = objects[state] = records.node(state)
    roots = _roots(data)
    at_name = find(records.node, roots.bindings, path)
    objects.update(at_name.nodes)
    current = parse_current(at_name.value or [])
    waiting: tuple[Cited, ...] = ()
    if not current:
        at_pending = find(records.node, roots.pending, path)
        objects.update(at_pending.nodes)
        waiting = parse_pending(at_pending.value or [])
    return Committed(path.decode(), roots, current, waiting, objects)


def gather(view: View, name: Committed, limit_bytes: int | None = None) -> Contents | None:
    """All that proves what is committed about ``name`` but the catalog, the head and the log.

    None where the policies take more than ``limit_bytes``. It holds what :class:`~holo.core.bundle.Examination` reads:
    every policy with its endorsers, and each statement that is current, was sealed, or waits where nothing is current,
    with the signatures that are cited.
    """
    contents = Contents(objects=dict(name.objects))
    if name.roots is None:
        return contents
    policies = _Policies(view, contents, limit_bytes)
    if not policies.gather(name.roots.policies):
        return None
    statements = [*name.current, *name.waiting]
    seal = policies.seal_of(name.roots.policy)
    if seal is not None:
        at_seal = find(view.records.node, seal, name.path.encode())
        contents.objects.update(at_seal.nodes)
        statements += parse_current(at_seal.value or [])
    for cited in statements:
        _gather_statement(view, contents, name.path, cited)
    return contents


def standing_of(view: View, cited: Cited) -> tuple[bytes, int, bytes | None, bytes, int]:
    """What :func:`~holo.store.layout.decode_one_standing` gives, of a statement as a tree cites it."""
    value = _own(_payload(view, cited.statement))
    return cited.statement, value["rev"], value["cid"], value["policy"], len(cited.positions)


class _Policies:
    """The policies of a namespace, as they are gathered."""

    def __init__(self, view: View, contents: Contents, limit_bytes: int | None) -> None:
        self._view = view
        self._contents = contents
        self._left_bytes = limit_bytes

    def gather(self, root: Cid) -> bool:
        """Gather every policy in the tree; whether they are within the limit."""
        waiting = [(b"", root)]
        while waiting:
            position, link = waiting.pop()
            data = self._contents.objects[link] = self._view.records.node(link)
            node = parse_node(data)
            if isinstance(node, Leaf):
                for suffix, endorsers in node.entries:
                    if not self._add(Cid(position + suffix), endorsers):
                        return False
                continue
            assert node.own is None, "no id is the beginning of another"
            waiting += [(position + node.prefix + bytes((byte,)), child) for byte, _, child in node.children]
        return True

    def seal_of(self, policy: Cid) -> Cid | None:
        """The seal of the latest policy that has one, from ``policy`` back to the genesis."""
        if len(self._contents.payloads) == 1:
            return None  # a genesis seals nothing
        link: Cid | None = policy
        while link is not None:
            link, seal = self._step(link)
            if seal is not None:
                return seal
        return None

    def _add(self, policy: Cid, endorsers: Iterable[bytes]) -> bool:
        payload = self._contents.payloads[policy] = _payload(self._view, policy)
        held = self._view.records.endorsements(policy)
        self._contents.signatures[policy] = {Kid(kid): held[Kid(kid)] for kid in endorsers}
        if self._left_bytes is not None:
            self._left_bytes -= len(payload)
            return self._left_bytes >= 0
        return True

    def _step(self, policy: Cid) -> tuple[Cid | None, Cid | None]:
        value = _own(self._contents.payloads[policy])
        return value["prev"], value["seal"]


def _gather_statement(view: View, contents: Contents, path: str, cited: Cited) -> None:
    payload = contents.payloads[cited.statement] = _payload(view, cited.statement)
    held = view.records.endorsements(cited.statement)
    if len(held) != len(cited.positions):  # others have endorsed it since, or not enough had: it is in mailboxes
        value = _own(payload)
        policy = view.policy(value["policy"])
        kids = [policy.signers[at].key for at in cited.positions]
        held = boxed(view.records, policy, path, value["rev"], cited.statement) | held
        held = {kid: held[kid] for kid in kids}
    contents.signatures.setdefault(cited.statement, {}).update(held)


def _payload(view: View, statement: Cid) -> bytes:
    payload = view.records.payload(statement)
    assert payload is not None, "what a head commits to is held"
    return payload


def _roots(data: bytes) -> Roots:
    links = links_of(data)
    held = _own(data)["held"] if is_held(data) else None
    return Roots(
        links.genesis,
        links.policy,
        None if held is None else (held[0], held[1]),
        links.policies,
        links.bindings,
        links.pending,
    )


def _own(data: bytes) -> Any:
    """The value of bytes that were decoded strictly before they were stored."""
    return cbor2.loads(data, tag_hook=_link)


def _link(tag: Any, immutable: Any = None) -> Cid:
    return Cid(tag.value[1:])
