"""What a reader demands beyond the namespace's rules: written into a file, and decided by, by real nodes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from holo.core import limits
from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.consumer import decode_consumer_policy, make_consumer_policy
from holo.core.draft import draft_binding
from holo.core.envelope import Record, make_record
from holo.core.keys import did_of
from holo.core.names import Name
from holo.roles.registry import Incoming
from holo.store.home import Home
from holo.store.keyring import Keyring
from holo.testing import running_node
from tests.cli.conftest import World
from tests.cli.runner import Ran, holo, said, shape

ONE, TWO = (str(Cid.of(RAW, content)) for content in (b"one", b"two"))
OTHER = str(Cid.of(DAG_CBOR, b"another genesis"))
DEMANDS: dict[str, Any] = {
    "policy": "str",
    "file": "str",
    "min_signers": "int",
    "allow_signers": [],
    "deny_signers": [],
    "allow_cids": [],
    "deny_cids": [],
    "allow_forks": "bool",
    "genesis": {},
    "agreeing": "int",
    "deny_exposed": "bool",
}


@pytest.fixture(scope="module")
def published(world: World) -> str:
    """Return the statement of acme/tool, which Alice signed."""
    found: str = said(world.alice, "--node", "node", "publish", "acme/tool", "--cid", ONE)["statement"]
    return found


def test_a_file_says_what_is_demanded_and_has_an_id(world: World, tmp_path: Path) -> None:
    file = tmp_path / "mine.policy"
    plain = said(world.alice, "trust", "policy", file)
    assert shape(plain) == DEMANDS
    assert (plain["policy"], plain["file"]) == (str(make_consumer_policy().id), str(file))
    assert file.read_bytes() == make_consumer_policy().bytes
    bob = said(world.bob, "keys", "show", "bob")["key"]
    signers = ("--min-signers", 2, "--allow-signer", "alice", "--allow-signer", bob, "--deny-signer", world.did)
    cids = ("--allow-cid", ONE, "--deny-cid", TWO, "--allow-forks", "--pin", f"acme={world.genesis}", "--agreeing", 3)
    full = said(world.alice, "trust", "policy", file, *signers, *cids)
    read = decode_consumer_policy(file.read_bytes())
    assert str(read.id) == full["policy"]
    assert (read.min_signers, read.allow_forks, read.agreeing) == (2, True, 3)
    assert {did_of(kid) for kid in read.allow_signers} == set(full["allow_signers"])
    assert bob in full["allow_signers"]
    assert full["deny_signers"] == [world.did]
    assert (full["allow_cids"], full["deny_cids"]) == ([ONE], [TWO])
    assert full["genesis"] == {"acme": world.genesis} == {ns: str(cid) for ns, cid in read.genesis.items()}
    printed = holo(world.alice, "trust", "policy", file, "--min-signers", 2).out
    assert printed.splitlines()[0] == str(make_consumer_policy(min_signers=2).id)


@pytest.mark.parametrize(
    "words",
    [("--min-signers", 0), ("--pin", "acme"), ("--pin", "acme=x"), ("--pin", f"NO={OTHER}"), ("--allow-cid", "x")],
)
def test_demands_that_cannot_be_write_nothing(world: World, tmp_path: Path, words: tuple[object, ...]) -> None:
    assert said(world.alice, "trust", "policy", tmp_path / "file", *words, expect=2)["code"] == "usage"
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(
    ("demands", "outcome", "step", "code"),
    [
        ((), "resolved", None, 0),
        (("--min-signers", "2"), "refused", "consumer-signers", 1),
        (("--deny-signer", "alice"), "refused", "consumer-signers", 1),
        (("--allow-signer", "alice"), "resolved", None, 0),
        (("--deny-cid", ONE), "refused", "consumer-content", 1),
        (("--allow-cid", TWO), "refused", "consumer-content", 1),
        (("--pin", f"acme={OTHER}"), "refused", "consumer-genesis", 1),
        (("--agreeing", "2"), "resolved", None, 3),
    ],
)
def test_names_are_decided_by_it(
    world: World, published: str, tmp_path: Path, demands: tuple[str, ...], outcome: str, step: str | None, code: int
) -> None:
    made = said(world.alice, "trust", "policy", tmp_path / "mine", *demands)
    bundle = tmp_path / "tool.bundle"
    words = ("--node", "node", "resolve", "acme/tool", "--policy", tmp_path / "mine")
    found = said(world.bob, *words, expect=code)
    kept = said(world.bob, *words, "--receipt", bundle, expect=code)
    assert found["decision"] == kept["decision"]
    assert (found["outcome"], found["consumer_policy"]) == (outcome, made["policy"])
    assert found["statement"] == (published if outcome == "resolved" else None)
    if step is not None:
        assert [item["code"] for item in found["steps"] if not item["ok"]] == [step]
    # The bundle carries the policy: nothing else is needed to redo the decision, and no node either.
    verdict = said(
        tmp_path / "stranger", "receipts", "bundle-verify", bundle, "--signer", world.did, expect=code // 3 * 3
    )
    assert verdict["result"] == ("inconclusive" if code == 3 else "ok")
    # The node kept nothing of it.
    assert said(world.bob, *words[:-1], made["policy"], expect=3)["outcome"] == "policy-unknown"


async def test_a_forked_name_is_inconclusive_where_forks_are_forbidden(folder: Path, tmp_path: Path) -> None:
    """Two signers of one revision, as two nodes would bring them together: past the API's compare-and-swap."""
    ana = tmp_path / "ana"
    keys = [said(ana, "keys", "new", name)["key"] for name in ("ana", "ben")]
    async with running_node(folder / "forked", ["roles.registry.head_interval_ms=50"]) as running:

        async def run(*words: object, expect: int = 0) -> Ran:
            line = partial(holo, ana, "--node", running.url, "--json", *words, expect=expect)
            return await trio.to_thread.run_sync(line)

        signers = ("--root", "ana", "--signer", keys[0], "--signer", keys[1])
        genesis = Cid.parse((await run("ns", "new", "forks", *signers)).json["genesis"])
        for name, content in (("ana", ONE), ("ben", TWO)):
            record = _binding(ana, name, genesis, content)
            (outcome,) = await running.node.registry.admit([Incoming("binding", record.envelopes())])
            assert getattr(outcome, "state", outcome) == ("current" if name == "ana" else "forked")
        await run("trust", "policy", tmp_path / "strict")
        await run("trust", "policy", tmp_path / "lenient", "--allow-forks")
        assert (await run("resolve", "forks/tool")).json["flags"] == ["forked"]
        assert (await run("resolve", "forks/tool", "--policy", tmp_path / "lenient")).json["cid"] == ONE
        refused = await run("resolve", "forks/tool", "--policy", tmp_path / "strict", expect=3)
        assert (refused.json["outcome"], refused.json["flags"], refused.json["cid"]) == ("refused", ["forked"], None)
        assert refused.json["steps"][-1]["code"] == "consumer-forks"
        assert "forked" in refused.err


def _binding(home: Path, key: str, genesis: Cid, content: str) -> Record:
    keyring = Keyring(Home(home))
    statement = draft_binding(
        Name.parse("forks/tool"), genesis=genesis, policy=genesis, rev=1, prev=(), cid=Cid.parse(content), at_ms=0
    ).statement
    return make_record(statement, keyring.unlock(keyring.find(key)))


def test_a_home_without_a_running_node_decides_by_it_too(folder: Path, tmp_path: Path) -> None:
    home = folder / "alone"
    said(home, "keys", "new", "me")
    said(home, "ns", "new", "mine")
    said(home, "publish", "mine/tool", "--cid", ONE)
    said(home, "trust", "policy", tmp_path / "two", "--min-signers", 2)
    said(home, "trust", "policy", tmp_path / "one")
    assert said(home, "resolve", "mine/tool", "--policy", tmp_path / "one", "--receipt", tmp_path / "b")["cid"] == ONE
    assert said(home, "resolve", "mine/tool", "--policy", tmp_path / "two", expect=1)["outcome"] == "refused"


def test_is_this_the_release_takes_it_too(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a release")
    said(world.alice, "--node", "node", "publish", "acme/file", tmp_path / "file")
    said(world.alice, "trust", "policy", tmp_path / "one")
    said(world.alice, "trust", "policy", tmp_path / "two", "--min-signers", 2)
    said(world.alice, "trust", "policy", tmp_path / "many", "--agreeing", 2)
    words = ("--node", "node", "verify", tmp_path / "file", "acme/file", "--policy")
    assert said(world.bob, *words, tmp_path / "one")["match"]
    assert said(world.bob, *words, tmp_path / "two", expect=1)["outcome"] == "refused"
    assert "agree" in holo(world.bob, *words, tmp_path / "many", expect=3).err


def test_the_genesis_that_is_pinned_here_still_holds(world: World, published: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    said(home, "trust", "policy", tmp_path / "mine")
    said(home, "ns", "pin", "acme", OTHER)
    words = ("--node", world.url, "resolve", "acme/tool", "--policy", tmp_path / "mine", "--receipt", tmp_path / "b")
    assert said(home, *words, expect=4)["code"] == "genesis-foreign"
    assert not (tmp_path / "b").exists()


def test_a_file_that_is_none_is_told_apart(world: World, tmp_path: Path) -> None:
    words = ("--node", "node", "resolve", "acme/tool", "--policy")
    assert said(world.bob, *words, tmp_path / "absent", expect=2)["code"] == "usage"
    (tmp_path / "text").write_text("min_signers = 2")
    assert said(world.bob, *words, tmp_path / "text", expect=1)["code"] == "cbor-invalid"
    (tmp_path / "large").write_bytes(bytes(limits.CONSUMER_POLICY_BYTES + 1))
    assert said(world.bob, *words, tmp_path / "large", expect=1)["code"] == "too-large"
