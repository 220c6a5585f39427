"""The story of the demo: sixteen lines, each printed only once what it says has been checked."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

import click

import holo
from holo.cli import exits
from holo.cli.demo.federation import Federation
from holo.cli.demo.forgeries import Target, check_denial, refusal
from holo.cli.demo.stage import DemoFailed, NodeProcess, make_folder, node_process, require, verb, verb_offline
from holo.cli.group import Verb
from holo.cli.invocation import Invocation
from holo.client import Client, Connection, Endpoint
from holo.core import keys
from holo.core.cid import Cid
from holo.core.keys import Kid, SigningKey
from holo.core.names import Name
from holo.http.base64url import decode_base64url
from holo.store.home import Home
from holo.store.keyring import Keyring

NAME: Final = "acme/holo:stable"
_HEAD_WAIT_S: Final = 10


@click.command(cls=Verb)
@click.option("--folder", type=click.Path(path_type=Path), help="Play here (build/demo in a checkout).")
@click.pass_obj
def demo(invocation: Invocation, folder: Path | None) -> None:
    """See it work: nodes, people and a liar, sixteen things checked. Nothing outside one folder is touched."""
    began = time.monotonic()
    source, default_folder = _source()
    lines: list[dict[str, Any]] = []
    if not invocation.json:
        invocation.show({}, "holo demo · real nodes on loopback")
    try:
        with ExitStack() as stack:
            stage = make_folder(folder or default_folder)
            nodes = [stack.enter_context(node_process(stage / home)) for home in ("a", "b", "c")]
            play = _Play(stage, source, nodes[0], nodes[1])
            for what, detail in chain(play.run(), Federation(stage, nodes, NAME).run()):
                lines.append({"line": len(lines) + 1, "ok": True, "what": what, "detail": detail})
                if not invocation.json:
                    mark = invocation.mark("ok", "ok")
                    invocation.show({}, f"{len(lines):2} {mark} {what:<10} {detail}")
    except DemoFailed as failed:
        lines.append({"line": len(lines) + 1, "ok": False, "what": "failed", "detail": str(failed)})
        invocation.show(
            {"ok": False, "lines": lines}, invocation.mark("failed", "bad") + f" at line {len(lines)}: {failed}"
        )
        raise click.exceptions.Exit(exits.BAD) from None
    seconds = time.monotonic() - began
    result = {"ok": True, "lines": lines, "seconds": round(seconds, 1), "home": str(play.a.home)}
    told = "proved: who published what, in which order. not proved: that it is harmless"
    invocation.show(result, [told, f"{seconds:.0f} s · next: {_command()} --home {_short(play.a.home)} why {NAME}"])


@dataclass
class _Play:
    """Alice lives in home a, Bob in home b, Mallory in home m; a node runs on a, and another on b."""

    stage: Path
    source: Path
    a: NodeProcess
    b: NodeProcess
    content: str = ""
    genesis: str = ""
    bundle: Path = field(init=False)

    def __post_init__(self) -> None:
        self.bundle = self.stage / "stable.bundle"

    @property
    def kid(self) -> Kid:
        """The key of node a."""
        return keys.parse_did(self.a.did)

    def run(self) -> Iterator[tuple[str, str]]:
        """(what, detail) of each line, once it is true."""
        yield "namespace", self.namespace()
        yield "publish", self.publish()
        yield "pending", self.pending()
        yield "cosign", self.cosign()
        yield "resolve", self.resolve()
        yield "verify", self.verify()
        yield "rollback", self.rollback()
        for code, denial in self.refusals():
            yield "refused", f"{code:<21} denial {denial}"

    def namespace(self) -> str:
        """Alice makes acme, in which stable takes her signature and Bob's."""
        verb(self.a.home, "keys", "new", "alice")
        bob = verb(self.b.home, "keys", "new", "bob").value["key"]
        verb(self.b.home, "remote", "add", "a", self.a.url, self.a.did)
        made = verb(
            self.a.home, "ns", "new", "acme", "--signer", "alice", "--signer", bob, "--require", "stable=2"
        ).value
        self.genesis = made["genesis"]
        verb(self.b.home, "ns", "pin", "acme", self.genesis)
        shown = verb(self.b.home, "--node", "a", "ns", "show", "acme").value
        require(
            len(shown["signers"]) == 2 and shown["genesis"] == self.genesis, f"not the policy that was made: {shown}"
        )
        require(shown["thresholds"] == [{"tags": ["stable"], "count": 2}], f"stable does not need two: {shown}")
        return "acme; stable needs alice + bob"

    def publish(self) -> str:
        """Alice stores this checkout and signs it."""
        stored = verb(self.a.home, "put", self.source).value
        posted = verb(self.a.home, "publish", NAME, self.source, "--no-wait").value
        require(posted["cid"] == stored["cid"], f"published {posted['cid']}, stored {stored['cid']}")
        self.content = posted["cid"]
        return f"{NAME} = {_what(self.source)}, {stored['files']} files, {self.content}"

    def pending(self) -> str:
        """One signature of two is not enough for anybody."""
        found = verb(self.b.home, "--node", "a", "resolve", NAME, expect=exits.INCONCLUSIVE).value
        require(found["outcome"] == "pending" and found["cid"] is None, f"not pending: {found}")
        posted = verb(self.a.home, "why", NAME, expect=exits.INCONCLUSIVE).value["pending"]
        require(len(posted) == 1 and (posted[0]["have"], posted[0]["need"]) == (1, 2), f"not one of two: {posted}")
        return "1 of 2 signatures"

    def cosign(self) -> str:
        """Bob takes it from the mailbox, looks at it, adds his signature and sends the whole."""
        posted = verb(self.b.home, "--node", "a", "cosign", NAME).value
        require(posted["state"] == "current" and posted["cid"] == self.content, f"not current: {posted}")
        seq = self._head_seq(posted["head"], posted["receipt"])
        return f"bob; rev {posted['rev']}, in head {seq}"

    def resolve(self) -> str:
        """Every rule holds; and a second node that is handed the same records comes to the same decision."""
        found = verb(self.b.home, "--node", "a", "resolve", NAME).value
        held = [step for step in found["steps"] if step["ok"]]
        require(found["cid"] == self.content and len(held) == len(found["steps"]), f"not resolved: {found}")
        self._hand_over()
        other = verb(self.b.home, "resolve", NAME).value
        require(other["decision"] == found["decision"], f"two nodes, two decisions: {other}")
        return f"{len(held)} of {len(found['steps'])} rules; two nodes, one decision {found['decision']}"

    def verify(self) -> str:
        """A stranger with a file, the node's key, and no network at all. One flipped bit is noticed."""
        verb(self.b.home, "--node", "a", "resolve", NAME, "--receipt", self.bundle)
        done = verb_offline(
            self.stage, self.a.address, "receipts", "bundle-verify", self.bundle, "--signer", self.a.did
        )
        require(done.code == exits.OK and done.value["result"] == "ok", f"not verified: {done}")
        require(done.value["decisions"][0]["cid"] == self.content, f"another content: {done.value}")
        spoiled = bytearray(self.bundle.read_bytes())
        spoiled[len(spoiled) // 2] ^= 1
        copy = self.stage / "spoiled.bundle"
        copy.write_bytes(spoiled)
        bad = verb_offline(self.stage, self.a.address, "receipts", "bundle-verify", copy, "--signer", self.a.did)
        require(bad.code == exits.BAD, f"a flipped bit was not noticed: {bad}")
        return "receipt valid, networking denied; one flipped bit: refused"

    def rollback(self) -> str:
        """Another revision, and back: forward, as a third one, with everything still in the history."""
        verb(self.a.home, "publish", NAME, Path(holo.__file__).parent / "core", "--no-wait")
        second = verb(self.b.home, "--node", "a", "cosign", NAME, "--no-wait").value
        require(second["rev"] == 2 and second["cid"] != self.content, f"not a second revision: {second}")
        verb(self.a.home, "rollback", NAME, "--to", "1", "--no-wait")
        third = verb(self.b.home, "--node", "a", "cosign", NAME).value
        require(third["rev"] == 3 and third["cid"] == self.content, f"not rolled back: {third}")
        items = verb(self.a.home, "history", NAME).value["items"]
        require([item["rev"] for item in items] == [3, 2, 1], f"history is not whole: {items}")
        require(items[0]["cid"] == items[2]["cid"] == self.content, f"rev 3 is not rev 1's content: {items}")
        return f"rev 3 = rev 1's content; history keeps all {len(items)}"

    def refusals(self) -> Iterator[tuple[str, str]]:
        """Four lies, each by somebody who proved who they are; each refused, with a receipt of the refusal."""
        signers = [_key(self.a.home, "alice"), _key(self.b.home, "bob")]
        first, second = sorted(signers, key=lambda key: key.kid)
        shown = verb(self.a.home, "resolve", NAME).value
        target = Target(
            Name.parse(NAME),
            Cid.parse(self.genesis),
            Cid.parse(shown["policy"]),
            Cid.parse(shown["statement"]),
            shown["rev"],
            Cid.parse(self.content),
            (first, second),
        )
        mallory = self.stage / "m"
        mallorys = keys.parse_did(verb(mallory, "keys", "new", "mallory").value["key"])
        foreign = verb(mallory, "--node", self.a.url, "ns", "new", "mallory").value["genesis"]
        before = self._log_size()
        told = [
            ("signature-invalid", first.kid, self._send(target, rev=4, spoil=True)),
            ("binding-stale", None, self._send(target, rev=2)),
            ("signer-not-allowed", mallorys, self._mallory(mallory)),
            ("policy-foreign", None, self._send(target, rev=4, policy=Cid.parse(foreign))),
        ]
        for code, requester, problem in told:
            yield code, check_denial(problem, code, self.kid, requester, _fail)
        require(self._log_size() == before + len(told), "the log holds something else than these denials")
        require(
            verb(self.a.home, "resolve", NAME).value["statement"] == shown["statement"], "a refusal changed the name"
        )

    def _send(self, target: Target, **lie: Any) -> dict[str, Any]:
        return refusal(self.a.url, self.kid, target, target.record(**lie))

    def _mallory(self, home: Path) -> dict[str, Any]:
        words = ("publish", NAME, "--cid", self.content, "--key", "mallory", "--no-wait")
        return verb(home, "--node", self.a.url, *words, expect=exits.NOT_PERMITTED).value

    def _hand_over(self) -> None:
        """Give node b, through its public interface, what node a holds of acme: nothing but signed records."""
        with self._client(self.a) as one, self._client(self.b) as other:
            policy = one.policy("acme")
            other.post_policy(None, [decode_base64url(item, 1 << 20, at="policy") for item in policy.policy_cose])
            for item in one.bindings("acme"):
                record = [decode_base64url(cose, 1 << 20, at="record") for cose in item.record_cose]
                other.post_record("acme", record)

    def _head_seq(self, head: str | None, receipt: str) -> int:
        """The seq of the head that cites the receipt, proved by ``receipts verify``."""
        found = verb(self.a.home, "receipts", "verify", receipt, "--signer", self.a.did).value
        require(found["logged"] is not None and found["result"] == "ok", f"the receipt is in no head: {found}")
        with self._client(self.a) as client:
            seqs = {item.head: item.seq for item in client.heads()}
        require(head in seqs, f"no head {head}")
        return seqs[str(head)]

    def _log_size(self) -> int:
        with self._client(self.a) as client:
            return client.node().log_size

    @staticmethod
    def _client(node: NodeProcess) -> Client:
        return Client(Connection([Endpoint(node.url, keys.parse_did(node.did))], timeout_s=_HEAD_WAIT_S))


def _source() -> tuple[Path, Path | None]:
    """(what to publish, where to play): this checkout and its build/demo, else the installed package and anywhere."""
    package = Path(holo.__file__).resolve().parent
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "Makefile").is_file():
        return checkout, checkout / "build" / "demo"
    return package, None


def _what(source: Path) -> str:
    return "this checkout" if (source / "pyproject.toml").is_file() else "the installed package"


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _command() -> str:
    """``holo`` where a shell finds it, else the path that was called."""
    called = Path(sys.argv[0])
    return "holo" if shutil.which("holo") or called.name != "holo" else str(_short(called.absolute()))


def _key(home: Path, name: str) -> SigningKey:
    keyring = Keyring(Home(home))
    return keyring.unlock(keyring.find(name))


def _fail(what: str) -> None:
    raise DemoFailed(what)
