"""The runbooks, carried out: every fault is made for real and every command in them is run as it stands.

A ``console`` block shows commands after ``$`` and what they print: the lines have to be there as written, where ``…``
stands for anything, a line of it for any number of lines, and ``[exit N]`` for an exit code that is not 0. Between the
blocks ``<!-- test: WORDS -->`` says what happens meanwhile: a fault, a node started or stopped.

``holo`` is a script here that gives every ``holo node`` what a test needs: any free port, and a small reserve.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from holo.cli.demo.liar import tell_two_truths
from holo.cli.explain import entries
from holo.core.errors import CODES
from holo.core.keys import parse_did
from holo.store.environment import Environment
from holo.store.home import Home
from holo.store.keyring import Keyring
from holo.store.layout import DATABASES
from tests.cli.runner import environment, process, said
from tests.faults import preload
from tests.faults.disk import Disk, mounted
from tests.faults.process import NodeProcess
from tests.test_readme import PROJECT

RUNBOOKS: Final = PROJECT / "docs" / "runbooks"
NAMES: Final = sorted(path.stem for path in RUNBOOKS.glob("*.md") if path.stem != "README")
ROOM_BYTES: Final = 2 << 30
MIB: Final = 1 << 20
SETTINGS: Final = (f"store.free_reserve_bytes={4 * MIB}", "roles.registry.head_interval_ms=20")
CONTENT: Final = "bafkr4ic5hxhq7xi54ahhptyqcgqg4pvr2scfzxyjkchdzf2bkedc7fgm4y"
HOLO: Final = """#!/bin/sh
export PYTHONPATH={project}
if [ "$1" = node ]; then
    shift
    set -- --set store.map_bytes=268435456 --set store.free_reserve_bytes={reserve} "$@"
    set -- --set http.listen=127.0.0.1:0 --set roles.gossip.listen=127.0.0.1:0 "$@"
    set -- node "$@"
fi
exec {python} -m holo "$@"
"""
STEP: Final = re.compile(r"^<!-- test: (.+?) -->$|^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Scene:
    """A home with a key, a namespace and a published name; whatever node runs on it; and the shell of an operator."""

    def __init__(self, folder: Path, exits: ExitStack) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.node: NodeProcess | None = None
        self.other: NodeProcess | None = None
        self.liar = ""
        self._exits = exits
        self._disk: Disk | None = None
        self._environ: dict[str, str] = {}
        (folder / "bin").mkdir()
        script = HOLO.format(project=PROJECT, python=sys.executable, reserve=4 * MIB)
        (folder / "bin" / "holo").write_text(script)
        (folder / "bin" / "holo").chmod(0o755)

    # --- what happens between the commands; each is named in a runbook

    def begin(self) -> None:
        """A node that somebody has published through; stopped again."""
        self.start()
        said(self.home, "keys", "new", "alice")
        said(self.home, "ns", "new", "acme", "--root", "alice", "--signer", "alice")
        said(self.home, "publish", "acme/app", "--cid", CONTENT)
        self.stop()

    def begin_on_a_disk_of_its_own(self) -> None:
        """The same on a disk small enough to fill."""
        self._disk = self._exits.enter_context(mounted(self.folder / "disk", 24 * MIB))
        self.home = self._disk.path / "home"
        self.begin()

    def start(self, *settings: str, under: tuple[str, ...] = ()) -> None:
        """Start the node on the home."""
        environ = {**environment(), **self._environ}
        sets = (*SETTINGS, *settings)
        self.node = self._exits.enter_context(NodeProcess(self.home, environ=environ, settings=sets, under=under))

    def start_tight(self) -> None:
        """Start it with the settings against strangers."""
        genesis = (self.folder / "genesis").read_text().strip()
        self.start(
            "limits.anonymous.resolve_per_second=50",
            "limits.anonymous.denials_per_minute=1",
            "roles.registry.admit=pinned",
            f'roles.registry.namespaces.acme="{genesis}"',
        )

    def start_with_few_descriptors(self) -> None:
        """Start it where it may open 96 files."""
        self.start(under=("sh", "-c", 'ulimit -n 96; exec "$@"', "sh"))

    def start_with_a_clock(self) -> None:
        """Start it behind a wall clock that can be set."""
        library = preload.build(self.folder)
        self.clock = preload.WallClock(self.folder / "clock")
        self._environ = preload.environ(library, clock=self.clock)
        self.start()

    def stop(self) -> None:
        """Stop it as an operator would."""
        assert self.node is not None
        assert self.node.stop() == 0
        self.node = None

    def start_a_peer(self) -> None:
        """Another node, on a home of its own."""
        sets = (*SETTINGS, "roles.gossip.pull_interval_ms=500")
        self.other = self._exits.enter_context(NodeProcess(self.folder / "other", environ=environment(), settings=sets))

    def stop_the_peer(self) -> None:
        """It goes away."""
        assert self.other is not None
        assert self.other.stop() == 0

    def pair(self) -> None:
        """The two know each other."""
        ticket = said(self.home, "peer", "ticket")["ticket"]
        said(self.folder / "other", "peer", "add", ticket)

    def wait_for_the_peers(self) -> None:
        """Until both hold the same."""
        assert self.other is not None
        deadline = time.monotonic() + 30
        while True:
            if self.other.http.get("/v1/resolve", params={"handle": "acme/app"}).json()["outcome"] == "resolved":
                return
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def a_peer_signs_two_truths(self) -> None:
        """A third node shows one of them one head, and the other another."""
        assert self.node is not None
        assert self.other is not None
        home = Home(self.folder / "liar")
        self.liar = said(home.path, "keys", "new", "liar")["key"]
        for known in (self.home, self.folder / "other"):
            said(known, "peer", "add", self.liar, "127.0.0.1:9", "--name", "liar")
        key = Keyring(home).unlock(Keyring(home).find("liar"))
        tell_two_truths(home, key, [(parse_did(node.node), node.peer) for node in (self.node, self.other)])
        deadline = time.monotonic() + 30
        while not any(item["equivocations"] for item in said(self.home, "peers")["items"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def kill(self) -> None:
        """End it as the system would."""
        assert self.node is not None
        self.node.kill()
        self.node = None

    def fill_the_disk(self) -> None:
        """Something else takes what is free."""
        assert self._disk is not None
        self._disk.fill(MIB)

    def free_the_disk(self) -> None:
        """Somebody makes room."""
        assert self._disk is not None
        self._disk.clear()

    def make_the_disk_read_only(self) -> None:
        """As the system does to a disk that fails."""
        assert self._disk is not None
        self._disk.remount("ro")

    def make_the_disk_writable(self) -> None:
        """Somebody has repaired it."""
        assert self._disk is not None
        self._disk.remount("rw")

    def spoil_the_store(self) -> None:
        """What a failing disk may leave: the file's first pages are noise."""
        with (self.home / "records" / "data.mdb").open("r+b") as file:
            file.write(os.urandom(8192))

    def spoil_a_statement(self) -> None:
        """One byte of the signed statements of a name is another, wherever the file has them."""
        file = self.home / "records" / "data.mdb"
        data = file.read_bytes()
        assert b"handlecapp" in data
        file.write_bytes(data.replace(b"handlecapp", b"handlecapq"))

    def make_the_store_newer(self) -> None:
        """A later version has upgraded it."""
        env = Environment(self.home / "records", DATABASES, map_bytes=1 << 28, free_reserve_bytes=0)
        with env.write() as writer:
            writer.put("meta", b"schema", b"\x18\x63")
        env.close()

    def lose_the_nodes_key(self) -> None:
        """It is gone from the disk."""
        shutil.rmtree(self.home / "identity")

    def publish_another_name(self) -> None:
        """Somebody goes on working."""
        said(self.home, "publish", "acme/later", "--cid", CONTENT)

    def set_the_clock_ahead(self) -> None:
        """By two days."""
        self.clock.set(2 * 86400)
        self.publish_another_name()

    def set_the_clock_right(self) -> None:
        """Somebody has mended it."""
        self.clock.set(0)
        said(self.home, "publish", "acme/after", "--cid", CONTENT)

    def strangers_knock(self) -> None:
        """Requests that are refused."""
        assert self.node is not None
        for _ in range(20):
            self.node.http.get("/v1/nothing")
            self.node.http.post("/v1/namespaces", json={"policy_cose": ["AAAA"]})

    # --- the operator's shell

    def run(self, command: str) -> list[str]:
        """The lines a command prints, and its exit code where it is not 0."""
        path = f"{self.folder / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        variables = {"PATH": path, "HOLO_HOME": str(self.home), "BACKUP": str(self.folder / "backup")}
        if self.other is not None:
            variables |= {"OTHER": str(self.folder / "other"), "PEER": self.other.node, "LIAR": self.liar}
        if self.node is not None:
            variables |= {"NODE": self.node.url, "PID": str(self.node.process.pid)}
        done = subprocess.run(
            ["/bin/sh", "-uc", command],
            cwd=self.folder,
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        lines = done.stdout.splitlines()
        return [*lines, f"[exit {done.returncode}]"] if done.returncode else lines


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Return a scene with room for stores that keep the default reserve: verbs that open a home themselves do."""
    with ExitStack() as exits:
        folder = tmp_path
        if shutil.disk_usage(folder).free < ROOM_BYTES:
            folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="holo-runbooks-")))
        yield Scene(folder, exits)


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_runs_as_written(name: str, scene: Scene) -> None:
    commands = 0
    for words, block in STEP.findall((RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")):
        if words:
            step: Callable[[], None] = getattr(scene, words.replace(" ", "_"))
            step()
            continue
        for command, expected in read_console(block):
            printed = scene.run(command)
            commands += 1
            assert agrees(expected, printed), "\n".join([f"$ {command}", *printed, "--- the runbook has", *expected])
    assert commands >= 3


def test_every_runbook_is_listed_and_has_its_parts() -> None:
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([a-z-]+)\.md", index)) == set(NAMES)
    for name in NAMES:
        text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
        parts = re.findall(r"^## (.+)$", text, re.MULTILINE)
        for part in ("What you see", "What it means", "What to do", "How to see that it is over", "What was lost"):
            assert part in parts, f"{name} lacks {part!r}"
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert "docs/runbooks/README.md" in readme


def test_runbooks_name_codes_and_files_that_exist() -> None:
    known = set(CODES) | {entry.code for entry in entries()}
    for path in RUNBOOKS.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        for code in re.findall(r"^holo: ([a-z-]+):|`holo explain ([a-z-]+)`", text, re.MULTILINE):
            assert (code[0] or code[1]) in known, f"{path.name}: {code}"
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_what_explain_points_to_is_there() -> None:
    pointed = {entry.facts["runbook"] for entry in entries() if "runbook" in entry.facts}
    assert len(pointed) >= 5
    assert all((PROJECT / path).is_file() for path in pointed)
    assert "docs/runbooks/disk-full.md" in process("explain", "no-space").out


def test_a_transcript_that_is_wrong_is_found() -> None:
    """The checks above can fail."""
    assert agrees(["a … c", "…", "[exit 7]"], ["a b c", "x", "y", "[exit 7]"])
    assert agrees(["…", "a"], ["a"])
    assert not agrees(["a"], ["b"])
    assert not agrees(["a"], ["a", "b"])
    assert not agrees(["a", "…", "b"], ["a", "c"])
    assert not agrees(["a"], ["a", "[exit 1]"])
    assert read_console("$ one\n$ two \\\n  more\nthree\n") == [("one", []), ("two \\\n  more", ["three"])]


def read_console(block: str) -> list[tuple[str, list[str]]]:
    """The commands of a block, each with the lines it prints. A backslash at the end of a line goes on in the next."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and not found[-1][1] and found[-1][0].endswith("\\"):
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        else:
            found[-1][1].append(line)
    return found


def agrees(expected: list[str], printed: list[str]) -> bool:
    """Whether the lines are those expected, ``…`` standing for anything. Spaces between columns do not count."""
    parts = [r"(?:.*\n)*?" if line.strip() == "…" else _pattern(line) + r"\n" for line in expected]
    return re.fullmatch("".join(parts), "".join(f"{_tight(line)}\n" for line in printed)) is not None


def _pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in _tight(line).split("…"))


def _tight(line: str) -> str:
    return re.sub(r"[ \t]+", " ", line.strip())
