"""The registry's rules once more, in plain Python: state as a function of the set of everything that was delivered.

Written from the words of the spec (sections 2 to 4) as a second implementation: lists, dicts and loops over everything,
no store, no caches, nothing kept from one question to the next. It shares only the encoding (codec, CIDs, how a tree is
built from its contents) with what it judges, never a rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self, TypeAlias

from holo.core import codec, tree
from holo.core.cid import DAG_CBOR, Cid
from holo.core.decision import Query
from holo.core.envelope import Record
from tests.records import kid

Payload: TypeAlias = dict[str, Any]
Path: TypeAlias = str
Positions: TypeAlias = list[int]

NODE_BYTES: Final = 1 << 20

EVERYBODY: Final = ("root", "root2", "recovery", "recovery2", "alice", "bob", "carol", "dave", "mallory")
NAMES: Final = {bytes(kid(name)): name for name in EVERYBODY}


@dataclass(frozen=True)
class Item:
    """Something that can be delivered: a record, with tree nodes where it is a policy that brings some of its seal."""

    record: Record
    nodes: tuple[bytes, ...] = ()

    @property
    def kind(self) -> Literal["policy", "binding"]:
        """What it is a record of."""
        return "policy" if self.record.statement.type == "policy" else "binding"

    def __repr__(self) -> str:
        statement, value = self.record.statement, self.record.statement.value
        said = f"{path_of(dict(value))} rev {value['rev']}" if self.kind == "binding" else f"seq {value['seq']}"
        by = " ".join(NAMES.get(bytes(who), "somebody") for who in self.record.endorsements)
        nodes = "".join(f" with {codec.decode(node, NODE_BYTES)}" for node in self.nodes)
        return f"<{self.kind} {str(statement.id)[8:14]} {said} by {by}{nodes}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


@dataclass(frozen=True)
class Held:
    """A complete statement that counts, with the endorsers that count for it."""

    id: Cid
    payload: Payload
    positions: Positions
    lowest: bytes  # the kid at the lowest position

    @property
    def order(self) -> tuple[int, bytes]:
        """What decides a tie."""
        return self.positions[0], bytes(self.id)


class Model:
    """Everything delivered to one node, and what follows from it. ``hosted``: namespace → genesis."""

    def __init__(self, hosted: dict[str, Cid]) -> None:
        self.hosted = hosted
        self.items: list[Item] = []
        self._policies: dict[str, set[Cid]] = {}

    def learn(self, *items: Item) -> None:
        """Take in what was delivered, in this order, whatever it is worth; what comes too early leaves nothing."""
        for item in items:
            if self.ready(item):
                self.items.append(replace(item, nodes=self._linked(item)) if item.nodes else item)
                if item.kind == "policy":
                    self._policies.clear()

    def realm(self, ns: str) -> Realm:
        """One namespace, worked out from everything; a tree node is known whichever namespace brought it."""
        realms = {name: Realm(name, genesis, self.items) for name, genesis in self.hosted.items()}
        for other in realms.values():
            realms[ns].nodes |= other.nodes
        return realms[ns]

    def catalog(self) -> Cid:
        """The catalog's CID. A namespace is there once its genesis is."""
        states = []
        for ns, genesis in self.hosted.items():
            realm = self.realm(ns)
            if genesis in realm.policies:
                states.append((ns.encode(), [codec.cid_of(realm.decide().state())]))
        namespaces, evidence = tree.build(states).root, tree.build([]).root
        return codec.cid_of({"v": 1, "type": "catalog", "namespaces": namespaces, "evidence": evidence})

    def contents(self, ns: str) -> Payload | None:
        """What the catalog commits to of a namespace; None before its genesis came."""
        realm = self.realm(ns)
        return realm.decide().contents() if self.hosted[ns] in realm.policies else None

    def decision(self, query: Query) -> bytes:
        """The bytes of the decision about a question."""
        name = query.name
        realm = self.realm(name.namespace) if name.namespace in self.hosted else None
        if realm is not None:
            realm = realm.decide() if realm.genesis in realm.policies else None
        said = {"ns": name.namespace, "handle": name.handle, "tag": name.tag, "cid": name.cid}
        return codec.encode(_decision(realm, said | {"policy_ref": query.policy_ref}, f"{name.handle}/{name.tag}"))

    def stands(self, item: Item) -> str:
        """How what was delivered stands now, as a receipt would say."""
        cid, payload = item.record.statement.id, dict(item.record.statement.value)
        realm = self.realm(payload["ns"]).decide()
        if item.kind == "policy":
            return "effective" if cid in realm.chain else "held" if realm.held else "rival"
        if cid not in realm.complete:
            return "pending"
        if payload["policy"] not in realm.chain:
            return "waiting"
        if realm.counts(cid, payload) is None:
            return "sealed-out"
        current = realm.names[path_of(payload)]
        if cid not in {held.id for held in current}:
            return "superseded"
        if len(current) == 1:
            return "current"
        return "held" if current[0].lowest == current[1].lowest else "forked"

    def ready(self, item: Item) -> bool:
        """Whether the policy this record builds on has arrived, so that it may be delivered."""
        payload = item.record.statement.value
        if payload["ns"] not in self.hosted:
            return False
        known = self._known(payload["ns"])
        if item.kind == "binding":
            return payload["policy"] in known
        return payload["prev"] is None or payload["prev"] in known

    def _linked(self, item: Item) -> tuple[bytes, ...]:
        """The nodes of an item that the seal reaches through them and those that came before."""
        ns = item.record.statement.value["ns"]
        known = self.realm(ns).nodes | {Cid.of(DAG_CBOR, node): node for node in item.nodes}
        reached, waiting = [], [item.record.statement.value["seal"]]
        while waiting:
            node = known.get(waiting.pop())
            if node is not None and node not in reached:
                reached.append(node)
                waiting += _links(node)
        return tuple(node for node in item.nodes if node in reached)

    def _known(self, ns: str) -> set[Cid]:
        if ns not in self._policies:
            self._policies[ns] = set(self.realm(ns).policies)
        return self._policies[ns]


@dataclass
class Realm:
    """One namespace, worked out anew from ``items``: its policies at once, the rest by :meth:`decide`."""

    ns: str
    genesis: Cid
    items: list[Item]
    policies: dict[Cid, Payload] = field(init=False)
    endorsers: dict[Cid, set[bytes]] = field(init=False)
    nodes: dict[Cid, bytes] = field(init=False)  # that came with complete policies; then those from elsewhere too

    def __post_init__(self) -> None:
        self._learn_policies()

    def decide(self) -> Self:
        """Work out everything else; only where the genesis has arrived."""
        self._learn_bindings()
        self._decide_chain()
        self.names = {path: held for path in self._paths() if (held := self._current(path))}
        self.waiting = {path: shown for path in self._paths() if (shown := self._pending(path))}
        return self

    # --- policies

    def _learn_policies(self) -> None:
        """Every policy that arrived complete, below parents that did, with the endorsers that count."""
        self.policies, self.endorsers, self.nodes = {}, {}, {}
        while True:
            before = sum(map(len, self.endorsers.values()))
            for item in self.items:
                payload, who = dict(item.record.statement.value), set(map(bytes, item.record.endorsements))
                if item.kind == "policy" and payload["ns"] == self.ns and self._policy_is_complete(item, payload, who):
                    cid = item.record.statement.id
                    self.policies[cid] = payload
                    self.nodes |= {Cid.of(DAG_CBOR, node): node for node in item.nodes}
                    self.endorsers.setdefault(cid, set()).update(who & self._kids_that_count(payload))
            if sum(map(len, self.endorsers.values())) == before:
                return

    def _policy_is_complete(self, item: Item, child: Payload, who: set[bytes]) -> bool:
        if child["seq"] == 0:
            return item.record.statement.id == self.genesis and enough(child["roots"], who)
        parent = self.policies.get(child["prev"])
        if parent is None or child["seq"] != parent["seq"] + 1:
            return False
        if child["seal"] is None and not _only_adds(parent, child):
            return False
        if not (enough(parent["roots"], who) and enough(child["roots"], who)):
            return False
        same_owners = child["roots"] == parent["roots"] and child["recovery"] == parent["recovery"]
        return same_owners or enough(parent["recovery"], who)

    def _kids_that_count(self, policy: Payload) -> set[bytes]:
        """Its own roots, its parent's roots and the recovery keys of all that came before it."""
        kids = set(map(bytes, policy["roots"]["keys"]))
        if policy["prev"] is not None:
            kids |= set(map(bytes, self.policies[policy["prev"]]["roots"]["keys"]))
        for cid in self.ancestors(policy):
            kids |= set(map(bytes, self.policies[cid]["recovery"]["keys"]))
        return kids

    def ancestors(self, policy: Payload) -> list[Cid]:
        """The ids of all policies before this one, nearest first."""
        found = []
        while policy["prev"] is not None:
            found.append(policy["prev"])
            policy = self.policies[policy["prev"]]
        return found

    # --- which branch, and how much of it

    def _decide_chain(self) -> None:
        self.chain = [self.genesis]
        self.held: tuple[str, Cid] | None = None
        while children := [cid for cid, policy in self.policies.items() if policy["prev"] == self.chain[-1]]:
            winner = children[0] if len(children) == 1 else self._winner(self.chain[-1], children)
            if winner is None:
                self.held = ("rivals", self.chain[-1])
                break
            self.chain.append(winner)
        unsealed = None
        while (at := self._latest_seal(self.chain)) is not None and not self._seal_is_satisfied(self.chain[at]):
            unsealed = unsealed or self.chain[at]
            self.chain = self.chain[:at]
        if self.held is None and unsealed is not None:
            self.held = ("seal", unsealed)

    def _winner(self, parent: Cid, children: list[Cid]) -> Cid | None:
        """The branch with the highest policy that the parent's recovery keys endorse."""
        heights = []
        for child in children:
            for cid, policy in self.policies.items():
                endorsed = enough(self.policies[parent]["recovery"], self.endorsers[cid])
                if endorsed and (cid == child or child in self.ancestors(policy)):
                    heights.append((policy["seq"], child))
        top = {child for height, child in heights if height == max(heights)[0]}
        return top.pop() if len(top) == 1 else None

    def _latest_seal(self, chain: list[Cid]) -> int | None:
        return max((at for at, cid in enumerate(chain) if self.policies[cid]["seal"] is not None), default=None)

    # --- seals

    def _seal_is_satisfied(self, cid: Cid) -> bool:
        entries = self.sealed(self.policies[cid]["seal"])
        if entries is None:
            return False
        earlier = self.ancestors(self.policies[cid])
        listed = [statement for value in entries.values() for statement, _ in value]
        return len(listed) == len(set(listed)) and all(
            self._entry_is_held(path, statement, positions, earlier)
            for path, value in entries.items()
            for statement, positions in value
        )

    def _entry_is_held(self, path: Path, statement: Cid, positions: Positions, earlier: list[Cid]) -> bool:
        payload = self.complete.get(statement)
        if payload is None or path_of(payload) != path or payload["policy"] not in earlier:
            return False
        cited = self.policies[payload["policy"]]
        signers = cited["signers"]
        if positions != sorted(set(positions)) or not all(0 <= at < len(signers) for at in positions):
            return False
        kids = [bytes(signers[at]["key"]) for at in positions]
        if allowed_positions(cited, kids, payload) != positions or len(positions) < threshold_of(cited, payload["tag"]):
            return False
        return self.signed[statement] >= set(kids)

    def sealed(self, root: Cid) -> dict[Path, list[tuple[Cid, Positions]]] | None:
        """What a seal keeps, by path; None unless all its nodes are here and they are the tree of what they hold."""
        try:
            entries = list(self._leaves(root, b""))
            if tree.build(entries).root != root:
                return None
            found = {}
            for key, value in entries:
                if len(value) > 2:
                    return None
                pairs = []
                for statement, positions in value:
                    if not (isinstance(statement, Cid) and isinstance(positions, list) and positions):
                        return None
                    if not all(type(at) is int for at in positions):
                        return None
                    pairs.append((statement, positions))
                found[key.decode()] = pairs
        except Exception:  # a second opinion on rubbish needs no more than: it is rubbish
            return None
        return found

    def _leaves(self, cid: Cid, position: bytes) -> Iterator[tuple[bytes, list[Any]]]:
        shape = codec.decode(tree.EMPTY_NODE if cid == tree.EMPTY else self.nodes[cid], NODE_BYTES)
        if shape[0] == 0:
            for entry in shape[1]:
                yield position + entry[0], entry[1:]
            return
        position += shape[1]
        if shape[2] is not None:
            yield position, shape[2]
        for byte, _, link in shape[3]:
            yield from self._leaves(link, position + bytes([byte]))

    # --- bindings

    def _learn_bindings(self) -> None:
        """Split what arrived into complete statements, and endorsements that came without enough others."""
        self.complete: dict[Cid, Payload] = {}
        self.signed: dict[Cid, set[bytes]] = {}
        self.partial: list[tuple[Cid, Payload, bytes]] = []
        for item in self.items:
            payload = dict(item.record.statement.value)
            if item.kind != "binding" or payload["ns"] != self.ns or payload["genesis"] != self.genesis:
                continue
            if payload["policy"] not in self.policies:
                continue
            cited, cid = self.policies[payload["policy"]], item.record.statement.id
            positions = allowed_positions(cited, item.record.endorsements, payload)
            kids = {bytes(cited["signers"][at]["key"]) for at in positions}
            if kids and len(positions) >= threshold_of(cited, payload["tag"]):
                self.complete[cid] = payload
                self.signed.setdefault(cid, set()).update(kids)
            else:
                self.partial += [(cid, payload, kid) for kid in sorted(kids)]

    def _paths(self) -> list[Path]:
        payloads = [*self.complete.values(), *(payload for _, payload, _ in self.partial)]
        return sorted({path_of(payload) for payload in payloads})

    def counts(self, cid: Cid, payload: Payload) -> Positions | None:
        """The positions of the endorsers a complete statement counts with; None where it does not count."""
        cited = payload["policy"]
        if cited not in self.chain:
            return None
        at = self._latest_seal(self.chain)
        if at is None or self.chain.index(cited) >= at:
            return allowed_positions(self.policies[cited], self.signed[cid], payload)
        entries = self.sealed(self.policies[self.chain[at]]["seal"])
        assert entries is not None, "a seal in effect is whole"
        return dict(entries.get(path_of(payload), [])).get(cid)

    def _current(self, path: Path) -> list[Held]:
        """The one or two statements a name has now, best first."""
        found = []
        for cid, payload in self.complete.items():
            positions = self.counts(cid, payload) if path_of(payload) == path else None
            if positions is not None:
                lowest = bytes(self.policies[payload["policy"]]["signers"][positions[0]]["key"])
                found.append(Held(cid, payload, positions, lowest))
        top = [item for item in found if item.payload["rev"] == max(held.payload["rev"] for held in found)]
        firsts = []
        for content in {item.payload["cid"] for item in top}:
            firsts.append(min((item for item in top if item.payload["cid"] == content), key=lambda item: item.order))
        return sorted(firsts, key=lambda item: item.order)[:2]

    def _pending(self, path: Path) -> list[tuple[Cid, Positions]]:
        """What a name's mailbox shows: under policies from the latest seal on, above the current revision."""
        floor = max((item.payload["rev"] for item in self.names.get(path, [])), default=0)
        start = self._latest_seal(self.chain) or 0
        revs: dict[Cid, int] = {}
        everybody: dict[Cid, Positions] = {}
        shown: dict[Cid, set[int]] = {}
        for cited in self.chain[start:]:
            for at, signer in enumerate(self.policies[cited]["signers"]):
                box = {
                    cid: payload["rev"]
                    for cid, payload, kid in self.partial
                    if path_of(payload) == path and payload["policy"] == cited and kid == bytes(signer["key"])
                }
                above = {cid: rev for cid, rev in box.items() if rev > floor}
                for cid in sorted(above, key=lambda cid: (-above[cid], bytes(cid)))[:8]:
                    revs[cid], everybody[cid] = above[cid], list(range(len(self.policies[cited]["signers"])))
                    shown.setdefault(cid, set()).add(at)
        room, cut = 4096, []
        for cid in sorted(shown, key=lambda cid: (-revs[cid], bytes(cid))):
            room -= len(codec.encode([cid, everybody[cid]]))
            if room < 0:
                break
            cut.append((cid, sorted(shown[cid])))
        return cut

    # --- what it adds up to

    def contents(self) -> Payload:
        """What the state object commits to, as the trees' keys and values."""
        return {
            "policy": self.chain[-1],
            "held": self.held,
            "policies": {bytes(cid): sorted(who) for cid, who in self.endorsers.items()},
            "bindings": {
                path.encode(): [[item.id, item.positions] for item in held] for path, held in self.names.items()
            },
            "pending": {path.encode(): [[cid, at] for cid, at in shown] for path, shown in self.waiting.items()},
        }

    def state(self) -> Payload:
        """The namespace state object."""
        contents = self.contents()
        policies, names, boxes = (tree.build(contents[part].items()) for part in ("policies", "bindings", "pending"))
        return {
            "v": 1,
            "type": "namespace-state",
            "ns": self.ns,
            "genesis": self.genesis,
            "policy": self.chain[-1],
            "held": None if self.held is None else list(self.held),
            "policies": policies.root,
            "bindings": names.root,
            "pending": boxes.root,
            "count": len(self.names),
        }


def _decision(realm: Realm | None, query: Payload, path: Path) -> Payload:
    """The decision object: the rules in order, up to the first that does not hold."""
    steps: list[Payload] = []

    def holds(code: str, ok: bool, subject: Cid | None, n: int | None = None) -> bool:
        steps.append({"code": code, "subject": subject, "ok": ok} | ({} if n is None else {"n": n}))
        return ok

    flags: list[str] = []
    chosen: Held | None = None

    def outcome() -> str:
        nonlocal chosen
        if realm is None:
            holds("namespace-hosted", False, None)
            return "not-found"
        holds("namespace-hosted", True, realm.genesis)
        ref = query["policy_ref"]
        if not holds("policy-ref-known", ref is None or ref in realm.policies, ref):
            return "policy-unknown"
        if realm.held is not None:
            holds("policy-effective", False, realm.held[1])
            return "held"
        now = realm.chain[-1]
        holds("policy-effective", True, now, len(realm.chain) - 1)
        if ref is not None and ref not in (realm.genesis, now):
            holds("policy-superseded", False, ref)
            return "refused"
        current = realm.names.get(path, [])
        if not current:
            waiting = len(realm.waiting.get(path, []))
            holds("name-bound", False, None, waiting)
            return "pending" if waiting else "not-found"
        first = current[0]
        holds("name-bound", True, first.id, first.payload["rev"])
        same = len(current) == 2 and current[0].lowest == current[1].lowest
        if not holds("name-settled", not same, first.id, len(current)):
            return "held"
        if len(current) == 2:
            flags.append("forked")
        holds("threshold-met", True, first.payload["policy"], len(first.positions))
        content = first.payload["cid"]
        if not holds("content-bound", content is not None, content):
            chosen = first
            return "yanked"
        if query["cid"] is not None and not holds("pin-matched", query["cid"] == content, query["cid"]):
            return "refused"
        chosen = first
        return "resolved"

    said = outcome()
    return {
        "v": 1,
        "type": "decision",
        "query": query,
        "genesis": realm.genesis if realm else None,
        "policy": realm.chain[-1] if realm else None,
        "consumer_policy": None,
        "steps": steps,
        "outcome": said,
        "flags": flags,
        "statement": chosen.id if chosen else None,
        "cid": chosen.payload["cid"] if chosen else None,
    }


def _links(node: bytes) -> list[Cid]:
    """What a tree node links to, if it is one."""
    try:
        shape = codec.decode(node, NODE_BYTES)
        return [link for _, _, link in shape[3]] if shape[0] == 1 else []
    except Exception:  # rubbish links to nothing
        return []


def path_of(payload: Payload) -> Path:
    """``handle/tag`` of a binding."""
    return f"{payload['handle']}/{payload['tag']}"


def enough(keys: Payload, who: Iterable[bytes]) -> bool:
    """Whether the threshold of these keys is among ``who``."""
    threshold: int = keys["threshold"]
    return len(set(map(bytes, keys["keys"])) & set(map(bytes, who))) >= threshold


def _matches(glob: str, text: str) -> bool:
    return text[: len(glob) - 1] == glob[:-1] if glob[-1] == "*" else text == glob


def allowed_positions(policy: Payload, kids: Iterable[bytes], payload: Payload) -> Positions:
    """Where the endorsers stand that the policy lets write this handle and tag."""
    who = set(map(bytes, kids))
    return [
        at
        for at, signer in enumerate(policy["signers"])
        if bytes(signer["key"]) in who
        and any(_matches(glob, payload["handle"]) for glob in signer["handles"])
        and any(_matches(glob, payload["tag"]) for glob in signer["tags"])
    ]


def threshold_of(policy: Payload, tag: str) -> int:
    """How many endorsers a binding of this tag needs."""
    need = 1
    for entry in policy["thresholds"]:
        if any(_matches(glob, tag) for glob in entry["tags"]):
            need = max(need, entry["count"])
    return need


def _only_adds(parent: Payload, child: Payload) -> bool:
    """Whether the child keeps the parent's signers as a prefix and raises no threshold."""
    count = len(parent["signers"])
    if child["signers"][:count] != parent["signers"]:
        return False
    for entry in child["thresholds"]:
        for glob in entry["tags"]:
            covered = [
                old["count"]
                for old in parent["thresholds"]
                for outer in old["tags"]
                if outer == glob or (outer[-1] == "*" and _matches(outer, glob))
            ]
            if entry["count"] > max(covered, default=1):
                return False
    return True
