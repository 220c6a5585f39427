"""What the verbs that need no other node do: trust, remotes, profiles, explanations, doctor, content, and the lock."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from holo import __version__
from holo.cli import opening
from holo.core.cid import RAW, Cid
from holo.core.errors import CODES
from holo.core.limits import BINDING_BYTES
from holo.store.home import Home, Running
from tests.cli.conftest import World
from tests.cli.runner import command, environment, holo, process, said, shape

ONE = str(Cid.of(RAW, b"one"))


@pytest.fixture
def home(folder: Path, request: pytest.FixtureRequest) -> Path:
    """Return a home of the test's own, with room for stores."""
    return folder / str(request.node.name)[:60]


def test_trust_is_kept_in_a_file_people_can_read(home: Path) -> None:
    did = said(home, "keys", "new", "a")["key"]
    assert said(home, "trust", "add", "ours", did) == {"label": "ours", "node": did}
    said(home, "ns", "pin", "acme", ONE)
    listed = said(home, "trust", "list")
    assert listed == {"nodes": [{"label": "ours", "node": did}], "namespaces": [{"ns": "acme", "genesis": ONE}]}
    file = tomllib.loads((home / "trust.toml").read_text())
    assert file == {"v": 1, "nodes": {"ours": did}, "namespaces": {"acme": ONE}}
    assert said(home, "trust", "rm", did) == {"removed": did}
    assert said(home, "trust", "rm", "acme") == {"removed": "acme"}
    assert said(home, "trust", "rm", "acme", expect=5)["code"] == "not-found"
    assert said(home, "trust", "list") == {"nodes": [], "namespaces": []}
    assert said(home, "trust", "add", "ours", "did:key:zzz", expect=2)["code"] == "key-invalid"
    assert said(home, "trust", "add", "No Label", did, expect=2)["code"] == "label-invalid"


def test_a_trust_file_that_cannot_be_read_is_no_trust(home: Path) -> None:
    home.mkdir(mode=0o700)
    for text in ("nodes = 1", "v = 2", 'v = 1\n[nodes]\na = "b"', "v = 1\n[others]", "= ="):
        (home / "trust.toml").write_text(text)
        problem = said(home, "trust", "list", expect=2)
        assert problem["code"] == "profile-invalid"
        assert "trust.toml" in problem["detail"]


def test_remotes_are_short_names(home: Path) -> None:
    did = said(home, "keys", "new", "a")["key"]
    item = {"name": "main", "url": "https://holo.example", "node": did}
    assert said(home, "remote", "add", "main", "https://holo.example", did) == item
    assert said(home, "remote", "list") == {"items": [item]}
    assert said(home, "remote", "add", "bad", "holo.example", did, expect=2)["code"] == "request-invalid"
    assert said(home, "remote", "rm", "main") == {"removed": "main"}
    assert said(home, "remote", "rm", "main", expect=5)["code"] == "not-found"


def test_a_profile_is_shown_whole_and_can_be_read_back(home: Path, tmp_path: Path) -> None:
    shown = said(None, "config", "show", "--set", "http.listen=127.0.0.1:9000")
    assert shown["http"]["listen"] == "127.0.0.1:9000"
    file = tmp_path / "mine.toml"
    file.write_text(holo(None, "config", "show", "--set", "http.listen=127.0.0.1:9000").out)
    assert said(None, "config", "show", file) == shown
    assert said(None, "config", "validate", file) == {
        "profile": str(file),
        "valid": True,
        "roles": ["gossip", "registry"],
    }
    file.write_text("v = 1\n[roles.registri]\n")
    problem = said(None, "config", "validate", file, expect=2)
    assert "did you mean roles.registry?" in problem["detail"]
    assert said(home, "node", "--check", "--http", "127.0.0.1:0")["valid"]
    unsafe = said(home, "node", "--check", "--http", "0.0.0.0:80", expect=2)
    assert unsafe["code"] == "unsafe-listen"
    assert not home.exists()


def test_every_code_is_explained(home: Path) -> None:
    listed = {item["code"] for item in said(None, "explain")["items"]}
    assert set(CODES) <= listed
    assert {"resolved", "held", "threshold-met", "decision-same", "waiting", "BINDING_BYTES"} <= listed
    found = said(None, "explain", "too-large")
    assert (found["status"], found["exit"], found["BINDING_BYTES"]) == (413, 1, BINDING_BYTES)
    assert said(None, "explain", "held")["kind"] == "outcome"
    unknown = said(None, "explain", "binding-stael", expect=5)
    assert "did you mean binding-stale?" in unknown["detail"]


def test_every_code_says_what_to_do() -> None:
    for code, (status, title, fix) in CODES.items():
        assert 400 <= status < 600, code
        assert title, code
        assert fix, code


def test_content_goes_in_and_comes_out(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(3 << 20))
    stored = said(home, "put", file)
    assert shape(stored) == {"path": "str", "cid": "str", "size": "int", "files": "int"}
    assert (stored["size"], stored["files"]) == (3 << 20, 1)
    got = said(home, "get", stored["cid"], "-o", tmp_path / "out")
    assert shape(got) == {"cid": "str", "path": "str", "size": "int", "files": "int"}
    assert (tmp_path / "out").read_bytes() == file.read_bytes()
    piped = subprocess.run(
        command("--home", home, "get", stored["cid"]), capture_output=True, env=environment(), timeout=60, check=True
    )
    assert piped.stdout == file.read_bytes()
    assert said(home, "get", ONE, "-o", tmp_path / "none", expect=5)["code"] == "not-found"
    assert said(home, "get", stored["cid"], expect=2)["code"] == "usage"
    folder = said(home, "put", tmp_path)["cid"]
    assert f"{folder} is a folder; give -o" in holo(home, "get", folder, expect=2).err
    assert said(home.with_name("nobody"), "get", ONE, "-o", tmp_path / "none", expect=5)["code"] == "not-found"
    assert said(home, "put", tmp_path / "absent", expect=2)["code"] == "usage"


def test_without_a_node_the_home_itself_answers(home: Path) -> None:
    said(home, "keys", "new", "alice")
    made = said(home, "ns", "new", "own")
    posted = said(home, "publish", "own/tool", "--cid", ONE)
    assert (posted["state"], posted["rev"]) == ("current", 1)
    found = said(home, "resolve", "own/tool")
    assert (found["cid"], found["genesis"]) == (ONE, made["genesis"])
    status = said(home, "status")
    assert status["running"] is None
    assert status["node"]["log_size"] == 2
    healthy = said(home, "doctor", "--fsck")
    assert healthy["healthy"]
    assert [item["verdict"] for item in healthy["items"] if item["check"] == "store"] == ["ok"]
    assert [item["verdict"] for item in healthy["items"] if item["check"] == "keys"] == ["ok", "warn"]


def test_spoiled_content_is_found(home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"find these bytes " * 100)
    cid = said(home, "put", tmp_path / "file")["cid"]
    assert said(home, "doctor", "--fsck")["healthy"]
    data = home / "cam" / "data.mdb"
    data.write_bytes(data.read_bytes().replace(b"find these bytes", b"fine these bytes"))
    sick = said(home, "doctor", "--fsck", expect=1)
    assert [item["detail"].split()[1] for item in sick["items"] if item["verdict"] == "bad"] == [cid]
    assert said(home, "get", cid, "-o", tmp_path / "out", expect=70)["code"] == "store-corrupt"
    said(home, "put", tmp_path / "file")  # storing it again heals it
    assert said(home, "doctor", "--fsck")["healthy"]


def test_a_damaged_store_is_found(home: Path) -> None:
    said(home, "keys", "new", "alice")
    said(home, "ns", "new", "own")
    said(home, "publish", "own/tool", "--cid", ONE)
    data = home / "records" / "data.mdb"
    content = data.read_bytes()
    assert b"own/tool:latest" in content
    data.write_bytes(content.replace(b"own/tool:latest", b"own/fool:latest"))
    sick = said(home, "doctor", "--fsck", expect=1)
    assert not sick["healthy"]
    assert any(item["check"] == "store" and item["verdict"] == "bad" for item in sick["items"])


def test_doctor_finds_a_home_that_others_can_read(home: Path) -> None:
    said(home, "keys", "new", "alice")
    assert said(home, "doctor")["healthy"]
    home.chmod(0o750)
    sick = said(home, "doctor", expect=1)
    assert [item["check"] for item in sick["items"] if item["verdict"] == "bad"] == ["home"]
    home.chmod(0o700)
    (home / "keys" / "alice.key").chmod(0o644)
    sick = said(home, "doctor", expect=1)
    assert [item["check"] for item in sick["items"] if item["verdict"] == "bad"] == ["keys"]


def test_a_home_in_use_is_waited_for_and_then_reported(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "LOCK_WAIT_S", 0.2)
    said(home, "keys", "new", "alice")
    with Home(home).lock():
        problem = said(home, "ns", "new", "own", expect=7)
        assert problem["code"] == "home-locked"
        assert said(home, "keys", "list")["items"]  # what needs no store does not wait
    assert said(home, "ns", "new", "own")["state"] == "effective"


def test_readers_share_a_home_and_writers_do_not(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "LOCK_WAIT_S", 0.2)
    said(home, "keys", "new", "alice")
    said(home, "ns", "new", "own")
    said(home, "publish", "own/tool", "--cid", ONE)
    before = (home / "records" / "data.mdb").read_bytes()
    with Home(home).lock(shared=True):
        assert said(home, "resolve", "own/tool", "--receipt", home / "bundle")["cid"] == ONE
        for words in ("history own/tool", "release show own/tool", "why own/tool", "catalog show", "receipts list"):
            said(home, *words.split())
        assert said(home, "publish", "own/tool", "--cid", ONE, expect=7)["code"] == "home-locked"
    assert (home / "records" / "data.mdb").read_bytes() == before
    assert said(home, "publish", "own/tool", "--cid", ONE)["rev"] == 2


def test_a_running_node_is_asked_by_its_address(world: World) -> None:
    ran = holo(world.node_home, "-v", "status")
    assert f"asking the node at {world.url}" in ran.err
    assert world.url in ran.out


def test_doctor_looks_at_the_nodes_it_is_given(world: World, home: Path) -> None:
    healthy = said(home, "doctor", "--node", world.url, "--node", world.url)
    told = [item["detail"] for item in healthy["items"] if item["check"] == "node"]
    assert told == [f"{world.url} answers as {world.did}, version {__version__}"] * 2
    assert [item["verdict"] for item in healthy["items"] if item["check"] == "clock"] == ["ok"] * 2
    sick = said(home, "doctor", "--node", "http://127.0.0.1:9", "--node", world.url, expect=1)
    found = [(item["verdict"], item["detail"].split(":")[0]) for item in sick["items"] if item["check"] == "node"]
    assert found == [("bad", "unreachable"), ("ok", "http")]


def test_what_is_about_this_home_alone_takes_no_node(world: World, home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"one")
    for words in (("doctor", "--fsck"), ("get", ONE, "-o", tmp_path / "out"), ("put", tmp_path / "file"), ("node",)):
        refused = said(home, "--node", world.url, *words, expect=2)
        assert (refused["code"], "--node" in refused["detail"]) == ("usage", True)
    assert not home.exists()


def test_the_address_of_a_node_that_died_is_cleared(home: Path) -> None:
    did = said(home, "keys", "new", "alice")["key"]
    Home(home).announce(Running("http://127.0.0.1:9", did, 2**22 + 1, "minimal-peer"))
    warned = said(home, "doctor")
    assert [item["verdict"] for item in warned["items"] if item["check"] == "node"] == ["warn"]
    assert said(home, "ns", "new", "own")["state"] == "effective"
    assert not (home / "node.json").exists()


def test_a_node_says_when_it_is_ready_and_ends_well(home: Path) -> None:
    running = subprocess.Popen(
        command(
            "--home",
            home,
            "node",
            "--http",
            "127.0.0.1:0",
            "--peers",
            "127.0.0.1:0",
            "--set",
            "store.free_reserve_bytes=0",
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        words = dict(part.split("=", 1) for part in line.split()[1:])
        assert line.startswith("ready url=http://127.0.0.1:")
        assert (set(words), words["profile"]) == ({"url", "node", "profile", "peer"}, "minimal-peer")
        assert said(home, "status")["running"]["pid"] == running.pid
        assert process("--home", home, "--json", "node", "--http", "127.0.0.1:0").code == 7
    finally:
        running.terminate()
        running.communicate(timeout=60)
    assert running.returncode == 0
    assert not (home / "node.json").exists()


def test_an_address_that_is_taken_is_said_without_a_traceback(home: Path, world: World) -> None:
    address = world.url.removeprefix("http://")
    ran = process("--home", home, "--json", "node", "--http", address, "--set", "store.free_reserve_bytes=0")
    assert (ran.code, ran.json["code"]) == (6, "listen-failed")
    assert "Traceback" not in ran.err


def test_a_file_that_cannot_be_written_is_named_as_it_was_given(world: World, tmp_path: Path) -> None:
    file = tmp_path / "absent" / "bundle"
    refused = said(world.alice, "--node", world.url, "resolve", "acme/none", "--receipt", file, expect=2)
    assert (refused["code"], refused["subject"]) == ("file-failed", str(file))
