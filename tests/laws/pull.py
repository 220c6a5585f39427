"""Pulling as peers do it: by comparing catalogs, then namespace states, then trees, and fetching only what differs.

Nothing is fetched because it is old: archives stay incomplete. What is fetched by id without a difference to show for
it is what a held namespace's seals name. Everything comes in through the same door as everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from holo.core import tree
from holo.core.binding import decode_binding
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import Record, open_statement
from holo.core.errors import Missing, Rejected
from holo.core.keys import Kid
from holo.core.limits import POLICY_BYTES
from holo.core.policy import Policy
from holo.core.state import NamespaceState, parse_current, parse_pending
from holo.store.view import View
from tests.laws.model import Item
from tests.laws.stores import Node


def converge(nodes: Sequence[Node], rounds: int = 50) -> None:
    """Let every node pull from every other until nobody learns anything."""
    for _ in range(rounds):
        learned = [pull(one, other) for one in nodes for other in nodes if one is not other]
        if not any(learned):
            return
    raise AssertionError(f"still learning after {rounds} rounds")


def pull(node: Node, source: Node) -> bool:
    """Fetch what ``source`` shows and ``node`` does not, and what seals ``node`` waits for name. Whether it learned."""
    learned = False
    for ns in _differing(node, source):
        learned |= _pull_policies(node, source, ns)
        learned |= pull_seals(node, source, ns)
        learned |= _pull_names(node, source, ns)
    for ns in node.hosted:
        learned |= pull_seals(node, source, ns)
    return learned


def _differing(node: Node, source: Node) -> list[str]:
    """The namespaces whose states differ and that ``source`` has."""
    node.catalog(), source.catalog()
    with node.store.view() as mine, source.store.view() as theirs:
        before, after = _committed(mine), _committed(theirs)
        found = tree.diff(mine.records.node, before, theirs.records.node, after)
        return [key.decode() for key, _, value in found if value is not None]


def _pull_policies(node: Node, source: Node, ns: str) -> bool:
    with node.store.view() as mine, source.store.view() as theirs:
        before, after = _trees(mine, ns).policies, _trees(theirs, ns).policies
        found: dict[Cid, tuple[Policy, Item]] = {}
        for key, old, new in tree.diff(mine.records.node, before, theirs.records.node, after):
            if set(map(bytes, new or ())) - set(map(bytes, old or ())):
                policy = theirs.policy(Cid(key))
                record = Record(policy.statement, theirs.records.endorsements(policy.id))
                found[policy.id] = policy, Item(record)
    return deliver_policies(node, found)


def deliver_policies(node: Node, found: dict[Cid, tuple[Policy, Item]]) -> bool:
    """Offer each policy with those of its ancestors that were found, all or none. Whether the node learned."""
    learned = False
    for policy, _ in sorted(found.values(), key=lambda item: -item[0].seq):
        # With those before it, all or none: where there is little room, a branch is judged by all that speaks for it.
        line = []
        at: Cid | None = policy.id
        while at in found:
            ancestor, item = found.pop(at)
            line.append(item)
            at = ancestor.prev
        line.reverse()
        while line:
            results = node.deliver_together(*line)
            learned |= any(getattr(result, "new", False) for result in results)
            if not any(isinstance(result, Rejected) for result in results):
                break
            line.pop()
    return learned


def _pull_names(node: Node, source: Node, ns: str) -> bool:
    with node.store.view() as mine, source.store.view() as theirs:
        items = [*_complete(mine, theirs, ns), *_pending(mine, theirs, ns)]
    return any(getattr(result, "new", False) for result in node.deliver(*items, apart=True))


def _complete(mine: View, theirs: View, ns: str) -> Iterator[Item]:
    before, after = _trees(mine, ns).bindings, _trees(theirs, ns).bindings
    for _, old, new in tree.diff(mine.records.node, before, theirs.records.node, after):
        known = parse_current(old or [])
        for cited in parse_current(new or []):
            if cited not in known:
                yield _record(theirs, cited.statement, cited.positions)


def _pending(mine: View, theirs: View, ns: str) -> Iterator[Item]:
    """One record for each endorsement: whoever sent several together would be the one to assemble them."""
    before, after = _trees(mine, ns).pending, _trees(theirs, ns).pending
    for key, old, new in tree.diff(mine.records.node, before, theirs.records.node, after):
        known = {(cited.statement, at) for cited in parse_pending(old or []) for at in cited.positions}
        path = key.decode()
        for cited in parse_pending(new or []):
            for at in cited.positions:
                if (cited.statement, at) not in known:
                    yield _box(theirs, ns, path, cited.statement, at)


# --- seals


def pull_seals(node: Node, source: Node, ns: str) -> bool:
    """Fetch by id what the seals lack that keep a namespace held, latest first."""
    learned = False
    for sealing in _unsatisfied(node, ns):
        while items := [*_seal_nodes(node, source, sealing)]:
            results = node.deliver(*items)
            learned |= any(getattr(result, "new", False) for result in results)
            if not _gained(node, items):
                break
            learned = True
        items = [*_seal_statements(node, source, sealing)]
        learned |= any(getattr(result, "new", False) for result in node.deliver(*items, apart=True))
    return learned


def _unsatisfied(node: Node, ns: str) -> list[Policy]:
    """Sealing policies after the one in effect, up to where the namespace is held."""
    with node.store.view() as view:
        row = view.records.namespace(ns)
        if row is None or row.held is None:
            return []
        policy, found = view.policy(row.held[1]), []
        while policy.id != row.policy and policy.prev is not None:
            if policy.seal is not None:
                found.append(policy)
            policy = view.policy(policy.prev)
        return found


def _seal_nodes(node: Node, source: Node, sealing: Policy) -> Iterator[Item]:
    """The sealing policy once more, with a node that is missing."""
    assert sealing.seal is not None
    with node.store.view() as mine, source.store.view() as theirs:
        missing = _first_missing(mine, sealing.seal)
        data = None if missing is None else theirs.records.sealed_node(missing)
        if data is not None:
            yield Item(Record(sealing.statement, mine.records.endorsements(sealing.id)), (data,))


def _first_missing(view: View, root: Cid) -> Cid | None:
    def read(cid: Cid) -> bytes:
        data = view.records.sealed_node(cid)
        if data is None:
            raise Missing("node-missing", subject=str(cid))
        return data

    try:
        for _ in tree.walk(read, root):
            pass
    except Missing as error:
        return Cid.parse(error.subject or "")
    return None


def _gained(node: Node, items: Iterable[Item]) -> bool:
    """Whether the nodes of ``items`` were kept."""
    with node.store.view() as view:
        kept = (view.records.sealed_node(Cid.of(DAG_CBOR, data)) for item in items for data in item.nodes)
        return any(data is not None for data in kept)


def _seal_statements(node: Node, source: Node, sealing: Policy) -> Iterator[Item]:
    """Statements the seal lists that are not held, or not with all the endorsers it lists."""
    assert sealing.seal is not None
    with node.store.view() as mine, source.store.view() as theirs:
        if _first_missing(mine, sealing.seal) is not None:
            return
        for _, value in tree.iterate(lambda cid: mine.records.sealed_node(cid) or b"", sealing.seal):
            try:
                listed = parse_current(value)
            except Rejected:
                continue
            for cited in listed:
                has, offered = mine.records.endorsements(cited.statement), theirs.records.endorsements(cited.statement)
                if offered.keys() - has.keys():
                    payload = theirs.records.payload(cited.statement)
                    assert payload is not None
                    if _type_of(payload) == "binding":
                        yield _record(theirs, cited.statement, None)


def _type_of(payload: bytes) -> str:
    try:
        return open_statement(payload, "binding", POLICY_BYTES).type
    except Rejected:
        return ""


# --- what a peer serves by id


def _record(theirs: View, statement: Cid, positions: Iterable[int] | None) -> Item:
    """A complete record, with the endorsers at these positions or all there are."""
    payload = theirs.records.payload(statement)
    assert payload is not None
    binding = decode_binding(payload)
    held = theirs.records.endorsements(statement)
    if positions is not None:
        signers = theirs.policy(binding.policy).signers
        held = {signers[at].key: held[signers[at].key] for at in positions}
    return Item(Record(binding.statement, held))


def _box(theirs: View, ns: str, path: str, statement: Cid, position: int) -> Item:
    """One endorsement out of a mailbox."""
    payload = theirs.records.payload(statement)
    assert payload is not None
    binding = decode_binding(payload)
    kid: Kid = theirs.policy(binding.policy).signers[position].key
    (signature,) = [b.signature for b in theirs.records.boxes(ns, path) if (b.id, b.kid) == (statement, kid)]
    return Item(Record(binding.statement, {kid: signature}))


def _committed(view: View) -> Cid:
    """The root of the tree of namespaces of a node's newest head."""
    head = view.head()
    assert head is not None
    return view.catalog(head[0].catalog).namespaces


def _trees(view: View, ns: str) -> NamespaceState:
    """What a node's newest head says of a namespace; empty trees where it does not have it yet."""
    head = view.head()
    assert head is not None
    state = view.namespace_state(view.catalog(head[0].catalog), ns)
    empty = tree.EMPTY
    return state or NamespaceState(ns, empty, empty, None, empty, empty, empty, 0)
