"""Namespaces: made, shown, changed with and without a seal, and keys revoked with what they signed looked through."""

from __future__ import annotations

from pathlib import Path

import pytest

from holo.core.cid import RAW, Cid
from tests.cli.conftest import World
from tests.cli.runner import holo, process, said, shape

ONE, TWO, THREE = (str(Cid.of(RAW, content)) for content in (b"one", b"two", b"three"))
KEYS = {"keys": ["str"], "threshold": "int"}
SIGNER = {"key": "str", "handles": ["str"], "tags": ["str"]}
POLICY = {
    "ns": "str",
    "policy": "str",
    "seq": "int",
    "prev": "str",
    "seal": "str",
    "roots": KEYS,
    "recovery": KEYS,
    "signers": [SIGNER],
    "thresholds": [],
}
CHANGE = {**POLICY, "changes": ["str"], "unmet": []}
POSTED = {
    "ns": "str",
    "genesis": "str",
    "policy": "str",
    "seq": "int",
    "state": "str",
    "receipt": "str",
    "receipt_cose": "str",
}


def publish(world: World, home: Path, name: str, cid: str, expect: int = 0) -> dict[str, object]:
    """Publish with the key that is named as the home is."""
    words = ("publish", name, "--cid", cid, "--key", home.name, "--no-wait")
    found: dict[str, object] = said(home, "--node", world.url, *words, expect=expect)
    return found


def resolved(world: World, name: str, expect: int = 0) -> object:
    """The content of a name."""
    return said(world.bob, "--node", world.url, "resolve", name, expect=expect)["cid"]


def test_a_namespace_comes_with_a_recovery_key_that_belongs_offline(world: World, tmp_path: Path) -> None:
    home = tmp_path / "carol"
    key = said(home, "keys", "new", "carol")["key"]
    ran = holo(home, "--json", "--node", world.url, "ns", "new", "carols")
    made = ran.json
    assert shape(made) == {**POSTED, "recovery": {"name": "str", "key": "str", "path": "str"}}
    assert made["state"] == "effective"
    assert Path(made["recovery"]["path"]).exists()
    assert made["recovery"]["path"] in ran.err
    assert "offline" in ran.err
    shown = said(home, "--node", world.url, "ns", "show", "carols")
    assert shown["roots"]["keys"] == [key] == [item["key"] for item in shown["signers"]]
    assert shown["recovery"]["keys"] == [made["recovery"]["key"]]
    assert said(home, "trust", "list")["namespaces"] == [{"ns": "carols", "genesis": made["genesis"]}]
    again = said(home, "--node", world.url, "ns", "new", "carols")  # the recovery key is none to be root
    assert (again["genesis"], again["receipt"]) == (made["genesis"], made["receipt"])


def test_a_name_that_is_taken_stays_with_its_genesis(world: World, tmp_path: Path) -> None:
    home = tmp_path / "thief"
    said(home, "keys", "new", "thief")
    assert said(home, "--node", world.url, "ns", "new", "acme", expect=4)["code"] == "genesis-foreign"
    conflicts = said(world.alice, "--node", world.url, "ns", "show", "acme")["conflicts"]
    assert len(conflicts) == 1


def test_a_dry_run_makes_no_key_and_sends_nothing(world: World, tmp_path: Path) -> None:
    home = tmp_path / "dry"
    said(home, "keys", "new", "dry")
    words = ("ns", "new", "dryly", "--require", "stable=2", "--signer", "dry=tools*:v*,stable", "--dry-run")
    shown = said(home, "--node", world.url, *words)
    assert shown["thresholds"] == [{"tags": ["stable"], "count": 2}]
    assert shown["signers"][0]["handles"] == ["tools*"]
    assert shown["signers"][0]["tags"] == ["v*", "stable"]
    assert [item["name"] for item in said(home, "keys", "list")["items"]] == ["dry"]
    assert said(home, "--node", world.url, "ns", "show", "dryly", expect=5)["code"] == "genesis-unknown"


def test_adding_a_signer_needs_no_seal(world: World, tmp_path: Path) -> None:
    home = tmp_path / "dave"
    key = said(home, "keys", "new", "dave")["key"]
    assert publish(world, home, "acme/daves", ONE, expect=4)["code"] == "signer-not-allowed"
    words = ("--node", world.url, "ns", "policy", "acme", "--add-signer", f"{key}=daves*")
    dry = said(world.alice, *words, "--dry-run")
    assert shape(dry) == {
        **POLICY,
        "seal": None,
        "thresholds": [{"tags": ["str"], "count": "int"}],
        "changes": ["str"],
        "unmet": [],
    }
    assert process("--home", world.alice, *words).code == 2  # signing needs a yes
    assert shape(said(world.alice, "--yes", *words)) == {**POSTED, "sealed_out": []}
    assert publish(world, home, "acme/daves", ONE)["state"] == "current"
    assert publish(world, home, "acme/others", ONE, expect=4)["code"] == "signer-not-allowed"


def test_revoking_a_key_seals_what_shall_survive(world: World, tmp_path: Path) -> None:
    alice, eve = world.alice, tmp_path / "eve"
    key = said(eve, "keys", "new", "eve")["key"]
    made = said(alice, "--node", world.url, "ns", "new", "rev", "--root", "alice", "--signer", "alice", "--signer", key)
    publish(world, alice, "rev/good", ONE)
    publish(world, eve, "rev/fine", ONE)
    publish(world, eve, "rev/evil", TWO)
    publish(world, alice, "rev/mixed", ONE)
    publish(world, eve, "rev/mixed", TWO)
    words = ("--node", world.url, "ns", "revoke", "rev", key)
    looked = holo(alice, *words, "--dry-run").out
    assert "name rev/fine:latest rev 1 was signed by the revoked key" in looked
    assert "rev/good" not in looked
    choice = (*words, "--drop", "rev/evil", "--restore", "rev/mixed=1")
    dry = said(alice, *choice, "--dry-run")
    assert shape(dry) == {
        **CHANGE,
        "kept": ["str"],
        "dropped": ["str"],
        "restored": {"rev/mixed:latest": "int"},
    }
    assert sorted(dry["kept"]) == ["rev/fine:latest", "rev/good:latest", "rev/mixed:latest"]
    assert dry["dropped"] == ["rev/evil:latest"]
    done = said(alice, "--yes", *choice)
    assert (done["state"], done["seq"], done["genesis"]) == ("effective", 1, made["genesis"])
    assert [resolved(world, f"rev/{name}") for name in ("good", "fine", "mixed")] == [ONE, ONE, ONE]
    assert resolved(world, "rev/evil", expect=5) is None
    assert publish(world, eve, "rev/fine", THREE, expect=4)["code"] == "signer-not-allowed"
    assert publish(world, alice, "rev/mixed", THREE)["rev"] == 2
    assert said(alice, "--node", world.url, "ns", "show", "rev", "--seq", 0)["policy"] == made["genesis"]


def test_a_large_namespace_sends_only_the_nodes_that_changed(world: World, tmp_path: Path) -> None:
    alice, eve = world.alice, tmp_path / "eve"
    key = said(eve, "keys", "new", "eve")["key"]
    said(alice, "--node", world.url, "ns", "new", "big", "--root", "alice", "--signer", "alice", "--signer", key)
    for number in range(70):  # more than one leaf of the tree holds
        publish(world, eve if number == 40 else alice, f"big/tool{number:03}", ONE)
    words = ("--node", world.url, "--yes", "ns", "revoke", "big", key, "--drop", "big/tool040")
    assert said(alice, *words)["state"] == "effective"
    assert resolved(world, "big/tool039") == ONE
    assert resolved(world, "big/tool040", expect=5) is None


def test_what_cannot_be_revoked_is_refused_before_anything_is_signed(world: World, tmp_path: Path) -> None:
    other = said(tmp_path / "x", "keys", "new", "x")["key"]
    words = ("--node", world.url, "ns", "revoke", "acme")
    assert said(world.alice, *words, other, expect=2)["code"] == "usage"
    assert said(world.alice, *words, "alice", expect=2)["code"] == "usage"  # nobody would be root any more
    assert said(world.alice, *words, "nobody", expect=5)["code"] == "key-unknown"
    bob = said(world.bob, "keys", "show", "bob")["key"]
    assert said(world.alice, *words, bob, "--drop", "acme/none", expect=5)["code"] == "not-found"
    assert said(world.alice, *words, bob, "--drop", "other/name", expect=2)["code"] == "usage"
    assert said(world.alice, *words, bob, "--restore", "acme/x", expect=2)["code"] == "usage"


def test_a_policy_that_changes_nothing_or_lets_nobody_publish_is_told(world: World) -> None:
    words = ("--node", world.url, "ns", "policy", "acme")
    assert "changes nothing" in said(world.alice, *words, expect=2)["detail"]
    (told,) = said(world.alice, *words, "--require", "locked=64", "--dry-run")["unmet"]
    assert told.startswith("! locked needs 64 signers")


def test_roots_change_with_the_recovery_key_only(world: World, tmp_path: Path) -> None:
    home = tmp_path / "frank"
    said(home, "keys", "new", "frank")
    said(home, "keys", "new", "second")
    said(home, "--node", world.url, "ns", "new", "franks", "--root", "frank")
    words = ("--node", world.url, "--yes", "ns", "policy", "franks", "--root", "second", "--signer", "second")
    holo(home, "keys", "export", "franks-recovery", "--private", "-o", tmp_path / "safe.key")
    said(home, "--yes", "keys", "rm", "franks-recovery")
    assert said(home, *words, expect=4)["code"] == "policy-incomplete"
    said(home, "keys", "import", "recovery", tmp_path / "safe.key")
    assert said(home, *words)["state"] == "effective"
    assert said(home, "--node", world.url, "ns", "show", "franks")["roots"]["keys"] == [
        said(home, "keys", "show", "second")["key"]
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("--require", "stable"),
        ("--require", "stable=none"),
        ("--require", "a**=2"),
        ("--signer", "alice=*x"),
        ("--threshold", "2"),
    ],
)
def test_policies_that_cannot_be_are_usage_errors(world: World, words: tuple[str, ...]) -> None:
    found = said(world.alice, "--node", world.url, "ns", "new", "never", "--root", "alice", *words, expect=2)
    assert found["code"] == "usage"
