"""Key files: what they open to, what guards them, and what a hostile one may not do."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from holo.core.errors import HoloError, StoreFailed
from holo.core.keys import SigningKey
from holo.store.home import Home
from holo.store.keyring import RECOVERY, Keyring, describe_file, own_key, own_kid
from holo.store.store import Store

KEY = SigningKey(bytes(range(32)))


def sealed(tmp_path: Path) -> tuple[Keyring, Path]:
    """A home with one key under the passphrase ``pass``."""
    keyring = Keyring(Home(tmp_path / "home"))
    return keyring, keyring.add("alice", KEY, "pass").path


def test_a_sealed_key_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    keyring, path = sealed(tmp_path)
    assert KEY.seed.hex() not in path.read_bytes().hex()
    stored = keyring.find("alice")
    assert stored.sealed
    assert keyring.unlock(stored, "pass").seed == KEY.seed
    for wrong in (None, "", "Pass", "pass "):
        with pytest.raises(HoloError) as refused:
            keyring.unlock(stored, wrong)
        assert refused.value.code == "key-locked"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("opslimit", 10**6, "key-invalid"),
        ("memlimit_bytes", 1 << 40, "key-invalid"),
        ("memlimit_bytes", "1", "key-invalid"),
        ("kdf", "scrypt", "key-invalid"),
        ("salt", "AA", "key-invalid"),
        ("salt", "!", "key-invalid"),
        ("box", "AAAA", "key-locked"),
    ],
)
def test_a_key_file_cannot_ask_for_more_than_is_right(tmp_path: Path, field: str, value: Any, code: str) -> None:
    keyring, path = sealed(tmp_path)
    content = json.loads(path.read_text())
    content["sealed"][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(HoloError) as refused:
        keyring.unlock(keyring.find("alice"), "pass")
    assert refused.value.code == code


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"v": 2}', '{"v": 1, "key": "x"}', '{"v": 1, "key": null}'])
def test_a_file_that_is_no_key_is_named(tmp_path: Path, text: str) -> None:
    keyring = Keyring(Home(tmp_path / "home"))
    keyring.add("good", KEY)
    (tmp_path / "home" / "keys" / "bad.key").write_text(text)
    with pytest.raises(HoloError) as refused:
        keyring.entries()
    assert (refused.value.code, refused.value.subject) == ("key-invalid", "bad")


@pytest.mark.parametrize("fields", [{}, {"seed": "AA"}, {"seed": 3}, {"sealed": 1}, {"sealed": {}}])
def test_a_key_file_without_its_secret_opens_to_nothing(tmp_path: Path, fields: dict[str, Any]) -> None:
    keyring = Keyring(Home(tmp_path / "home"))
    stored = keyring.add("alice", KEY)
    stored.path.write_text(json.dumps({"v": 1, "key": stored.did, **fields}))
    with pytest.raises(HoloError) as refused:
        keyring.unlock(stored, "pass")
    assert refused.value.code == "key-invalid"


def test_a_key_is_stored_once_and_keeps_its_purpose(tmp_path: Path) -> None:
    keyring = Keyring(Home(tmp_path / "home"))
    stored = keyring.add("acme-recovery", KEY, purpose=RECOVERY)
    assert keyring.entries() == [stored]
    assert describe_file(stored.path).purpose == RECOVERY
    for name in ("acme-recovery", "other"):
        with pytest.raises(HoloError) as refused:
            keyring.add(name, KEY)
        assert refused.value.code == "key-exists"


def test_a_nodes_own_key_is_made_once_and_kept_apart(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert own_kid(home, "node") is None
    own = own_key(home, "node")
    assert own_key(home, "node").seed == own.seed
    assert own_kid(home, "node") == own.kid
    assert Keyring(home).entries() == []
    (home.identity / "node.key").chmod(0o640)
    with pytest.raises(HoloError) as refused:
        own_key(home, "node")
    assert refused.value.code == "home-unsafe"


def test_no_other_key_takes_the_place_of_a_lost_one(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with closing(Store(home.records, own_key(home, "node"), clock_ms=lambda: 0, map_bytes=1 << 28)):
        pass
    (home.identity / "node.key").rename(tmp_path / "node.key")
    with pytest.raises(StoreFailed) as refused:
        own_key(home, "node")
    assert (refused.value.code, own_kid(home, "node")) == ("node-key-lost", None)
    (tmp_path / "node.key").rename(home.identity / "node.key")
    Store(home.records, own_key(home, "node"), clock_ms=lambda: 0, map_bytes=1 << 28).close()
