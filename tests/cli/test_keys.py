"""Keys of a home: made, listed, exported, imported, guarded, and never the node's own."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from holo.core.keys import parse_did
from holo.store.home import Home
from holo.store.keyring import Keyring, own_key
from tests.cli.runner import holo, process, said, shape

VIEW = {"name": "str", "key": "str", "sealed": "bool", "purpose": "str", "default": "bool"}


def test_a_new_key_is_a_private_file(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = said(home, "keys", "new", "alice")
    assert shape(made) == {**VIEW, "path": "str"}
    path = Path(made["path"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    keyring = Keyring(Home(home))
    assert keyring.unlock(keyring.find("alice")).kid == parse_did(made["key"])
    assert shape(said(home, "keys", "list")) == {"items": [VIEW]}
    assert said(home, "keys", "show", made["key"]) == made


def test_export_is_public_unless_private_is_asked_for(tmp_path: Path) -> None:
    home = tmp_path / "home"
    did = said(home, "keys", "new", "alice")["key"]
    seed = json.loads((home / "keys" / "alice.key").read_text())["seed"]
    public = holo(home, "keys", "export", "alice")
    assert public.out == did + "\n"
    assert seed not in public.out + public.err + holo(home, "--json", "keys", "export", "alice").out
    private = holo(home, "keys", "export", "alice", "--private")
    assert json.loads(private.out)["seed"] == seed
    assert "private" in private.err


def test_an_exported_key_can_be_imported_elsewhere(tmp_path: Path) -> None:
    did = said(tmp_path / "a", "keys", "new", "alice")["key"]
    file = tmp_path / "alice.key"
    holo(tmp_path / "a", "keys", "export", "alice", "--private", "-o", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert said(tmp_path / "b", "keys", "import", "mine", file)["key"] == did
    assert said(tmp_path / "b", "keys", "import", "again", file, expect=7)["code"] == "key-exists"
    holo(tmp_path / "a", "keys", "export", "alice", "--private", "-o", file, expect=2)


def test_a_passphrase_guards_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    assert said(home, "keys", "new", "alice", "--passphrase", expect=4)["code"] == "key-locked"
    monkeypatch.setenv("HOLO_PASSPHRASE", "correct horse")
    made = said(home, "keys", "new", "alice", "--passphrase")
    assert made["sealed"]
    text = (home / "keys" / "alice.key").read_text()
    assert "seed" not in text
    assert "correct horse" not in text
    file = tmp_path / "sealed.key"
    holo(home, "keys", "export", "alice", "--private", "-o", file)
    assert said(tmp_path / "b", "keys", "import", "alice", file, "--passphrase")["key"] == made["key"]
    monkeypatch.setenv("HOLO_PASSPHRASE", "wrong horse")
    assert said(tmp_path / "c", "keys", "import", "alice", file, expect=4)["code"] == "key-locked"
    assert not (tmp_path / "c").exists()


def test_removing_needs_a_yes(tmp_path: Path) -> None:
    home = tmp_path / "home"
    said(home, "keys", "new", "alice")
    said(home, "keys", "default", "alice")
    assert "--yes" in process("--home", home, "keys", "rm", "alice").err
    assert process("--home", home, "keys", "rm", "alice").code == 2
    assert (home / "keys" / "alice.key").exists()
    assert shape(said(home, "keys", "rm", "alice", "--yes")) == {"removed": "str", "key": "str"}
    assert said(home, "keys", "list") == {"items": []}
    assert said(home, "keys", "default") == {"name": None}
    assert said(home, "keys", "show", "alice", expect=5)["code"] == "key-unknown"


def test_the_default_is_marked(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in ("alice", "bob"):
        said(home, "keys", "new", name)
    said(home, "keys", "default", "bob")
    assert [item["default"] for item in said(home, "keys", "list")["items"]] == [False, True]
    assert said(home, "keys", "default")["name"] == "bob"


def test_the_nodes_own_keys_are_no_ones_to_use(tmp_path: Path) -> None:
    home = tmp_path / "home"
    own = own_key(Home(home), "node")
    assert own_key(Home(home), "node").kid == own.kid != own_key(Home(home), "operator").kid
    assert said(home, "keys", "list") == {"items": []}
    for name in ("node", "operator"):
        assert said(home, "keys", "new", name, expect=2)["code"] == "label-invalid"
        assert said(home, "keys", "show", name, expect=5)["code"] == "key-unknown"


@pytest.mark.parametrize("name", ["", "Alice", "../up", "a/b", "-a", "a" * 65, "a\n"])
def test_names_that_no_file_should_have_are_refused(tmp_path: Path, name: str) -> None:
    assert said(tmp_path / "home", "keys", "new", "--", name, expect=2)["code"] == "label-invalid"


def test_a_home_others_can_reach_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    said(home, "keys", "new", "alice")
    home.chmod(0o755)
    assert said(home, "keys", "new", "bob", expect=4)["code"] == "home-unsafe"
    home.chmod(0o700)
    (home / "keys" / "alice.key").chmod(0o644)
    with pytest.raises(Exception, match="home-unsafe"):
        Keyring(Home(home)).unlock(Keyring(Home(home)).find("alice"))


def test_a_key_file_that_lies_about_its_key_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in ("alice", "bob"):
        said(home, "keys", "new", name)
    one, other = (json.loads((home / "keys" / f"{name}.key").read_text()) for name in ("alice", "bob"))
    (home / "keys" / "alice.key").write_text(json.dumps({**one, "seed": other["seed"]}))
    with pytest.raises(Exception, match="key-invalid"):
        Keyring(Home(home)).unlock(Keyring(Home(home)).find("alice"))
