"""The second act: three peers that converge, a partition that heals, a fork, and a peer that is caught lying."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from holo.cli.demo.liar import tell_two_truths
from holo.cli.demo.stage import DemoFailed, NodeProcess, require, verb, verb_offline
from holo.client import Client, Connection, Endpoint
from holo.core import keys
from holo.core.cid import RAW, Cid
from holo.http.base64url import decode_base64url
from holo.store.home import Home
from holo.store.keyring import Keyring
from holo.store.peers_file import PeersFile

T = TypeVar("T")

FORKED: Final = "acme/holo:nightly"
_WITHIN_S: Final = 30.0
_LOOK_S: Final = 0.1


@dataclass
class Federation:
    """Peers a, b and c. a has acme and its history, c nothing at all; Alice's key lies in home a, Bob's in b."""

    stage: Path
    nodes: Sequence[NodeProcess]
    name: str

    def run(self) -> Iterator[tuple[str, str]]:
        """(what, detail) of each line, once it is true."""
        yield "peers", self.peers()
        yield "parted", self.parted()
        yield "healed", self.healed()
        yield "settled", self.settled()
        yield "caught", self.caught()

    def peers(self) -> str:
        """Three nodes are paired, each with each, and decide alike."""
        began = time.monotonic()
        a, b, c = self.nodes
        for one, other in ((a, b), (a, c), (b, c)):
            _pair(one, other)
        decision = self._same_everywhere(self.name)
        found = verb(c.home, "peers").value["items"]
        require({item["node"] for item in found} == {a.did, b.did}, f"not the two others: {found}")
        return (
            f"3 paired; {self.name} the same everywhere after {time.monotonic() - began:.1f} s: {decision['decision']}"
        )

    def parted(self) -> str:
        """Cut off from each other, two halves take two signatures for one revision of one name."""
        a, b, c = self.nodes
        for one, other in ((a, b), (b, c)):
            _part(one, other)
        _wait("b is linked still", lambda: not _links(b))
        for node, who in ((a, "alice"), (b, "bob")):
            content = Cid.of(RAW, who.encode())
            posted = verb(node.home, "publish", FORKED, "--cid", str(content), "--key", who).value
            require(posted["state"] == "current" and posted["rev"] == 1, f"not current: {posted}")
        told = [self._decision(node, FORKED)["cid"] for node in (a, b)]
        require(told[0] != told[1], f"both halves say the same: {told}")
        return f"a + c | b: each half binds {FORKED} at rev 1, to something else"

    def healed(self) -> str:
        """Together again, all three see the fork, and say the same of it."""
        began = time.monotonic()
        a, b, c = self.nodes
        for one, other in ((a, b), (b, c)):
            _pair(one, other)
        decision = self._same_everywhere(FORKED, lambda found: "forked" in found["flags"])
        return f"forked, the same everywhere after {time.monotonic() - began:.1f} s: {decision['decision']}"

    def settled(self) -> str:
        """One more revision decides, wherever it is signed."""
        content = str(Cid.of(RAW, b"settled"))
        posted = verb(self.nodes[1].home, "publish", FORKED, "--cid", content, "--key", "bob").value
        require(posted["state"] == "current" and posted["rev"] == 2, f"not settled: {posted}")
        decision = self._same_everywhere(FORKED, lambda found: found["cid"] == content)
        named = [word for node in self.nodes for word in ("--node", node.url)]
        words = (*named, "resolve", FORKED, "--agree", "3")

        def ask() -> dict[str, Any] | None:  # signed answers are about each node's newest head
            ran = verb(self.stage / "reader", *words, expect=None)
            return ran.value if ran.code == 0 else None

        agreed = _wait("the nodes do not agree", ask)
        require(agreed["decision"] == decision["decision"], f"not what they agreed on: {agreed}")
        require([item["result"] for item in agreed["nodes"]] == ["agrees"] * 3, f"not all agree: {agreed}")
        return f"bob's rev 2 at b; 3 of 3 nodes agree on {decision['decision']}"

    def caught(self) -> str:
        """A fourth peer shows a and b two heads of one log. All three have the proof, which takes no trust to check."""
        a, b, _ = self.nodes
        home = self.stage / "liar"
        did = verb(home, "keys", "new", "liar").value["key"]
        kid = keys.parse_did(did)
        for node in (a, b):
            PeersFile(Home(node.home)).add(kid, ["127.0.0.1:9"])  # it dials
        key = Keyring(Home(home)).unlock(Keyring(Home(home)).find("liar"))
        tell_two_truths(Home(home), key, [(keys.parse_did(node.did), node.peer) for node in (a, b)])
        (proof,) = {self._proof_against(node, did) for node in self.nodes}
        file = self.stage / "liar.evidence"
        file.write_bytes(proof)
        done = verb_offline(self.stage, a.address, "receipts", "verify", str(file))
        require(done.code == 0 and did in str(done.value), f"not proved: {done}")
        return f"one log, two heads: the proof is at all 3 peers, and was checked with networking denied: {did}"

    def _proof_against(self, node: NodeProcess, did: str) -> bytes:
        """The evidence against a key that a node holds, once it does."""

        def look() -> bytes | None:
            with _client(node) as client:
                found = [item.view for item in client.receipts() if item.type == "evidence-receipt"]
                named = [view["evidence"] for view in found if view["subject"] == did]
                return decode_base64url(client.object(Cid.parse(named[0])).data, 1 << 20, at="data") if named else None

        return _wait(f"{node.url} has no proof against {did}", look)

    def _same_everywhere(
        self, name: str, holds: Callable[[dict[str, Any]], bool] = lambda found: found["cid"] is not None
    ) -> dict[str, Any]:
        """The decision about a name, once all nodes give the same and it is as it should be."""

        def look() -> dict[str, Any] | None:
            found = [self._decision(node, name) for node in self.nodes]
            same = len({item["decision"] for item in found}) == 1
            return found[0] if same and holds(found[0]) else None

        return _wait(f"{name} is not the same everywhere", look)

    @staticmethod
    def _decision(node: NodeProcess, name: str) -> dict[str, Any]:
        with _client(node) as client:
            found = client.resolve(name)
        return {"decision": found.decision, "cid": found.cid, "flags": found.flags, "outcome": found.outcome}


def _pair(one: NodeProcess, other: NodeProcess) -> None:
    for here, there in ((one, other), (other, one)):
        PeersFile(Home(here.home)).add(keys.parse_did(there.did), [there.peer])


def _part(one: NodeProcess, other: NodeProcess) -> None:
    for here, there in ((one, other), (other, one)):
        PeersFile(Home(here.home)).remove(keys.parse_did(there.did))


def _links(node: NodeProcess) -> int:
    with _client(node) as client:
        return sum(peer.connected for peer in client.peers())


def _client(node: NodeProcess) -> Client:
    return Client(Connection([Endpoint(node.url, keys.parse_did(node.did))], timeout_s=_WITHIN_S))


def _wait(what: str, look: Callable[[], T | None]) -> T:
    """What ``look`` gives, once it gives anything. Raises :class:`DemoFailed` where it does not for long."""
    ends = time.monotonic() + _WITHIN_S
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > ends:
            raise DemoFailed(what)
        time.sleep(_LOOK_S)
