"""The frame of the command line: help, global options, failures as JSON, signals, pipes and completion."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import click
import pytest

from holo.cli.group import verbs_of
from holo.cli.invocation import Invocation
from holo.cli.main import root
from holo.store.home import Home
from holo.store.keyring import own_key
from tests.cli.runner import PROJECT, command, environment, holo, process, said

VERBS = verbs_of(root, click.Context(root, obj=Invocation()))
SPEC = (
    "demo node status doctor explain completion config.show config.validate keys.new keys.list keys.show "
    "keys.export keys.import keys.rm keys.default ns.new ns.show ns.policy ns.revoke ns.endorse ns.pin trust.add "
    "trust.list trust.rm trust.policy remote.add remote.list remote.rm publish cosign yank rollback resolve history "
    "why release.show verify receipts.list receipts.show receipts.verify receipts.bundle-verify catalog.show "
    "catalog.diff catalog.prove peer.ticket peer.add peer.remove peer.list peer.check peer.succeed "
    "keys.rotate-node peers put get"
)


def test_every_verb_of_the_interface_is_there() -> None:
    assert sorted(VERBS) == sorted(verb.replace(".", " ") for verb in SPEC.split())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    said_by = holo(None, *verb.split(), "--help").out
    assert said_by.startswith("Usage: holo")
    assert "holo --help" in said_by


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_fails_in_json_where_that_is_asked_for(verb: str, tmp_path: Path) -> None:
    problem = said(tmp_path / "home", *verb.split(), "--no-such-option", expect=2)
    assert problem["code"] == "usage"
    assert problem["status"] == 400
    assert "--no-such-option" in problem["detail"]
    assert not (tmp_path / "home").exists()


def test_help_imports_nothing_that_is_slow() -> None:
    done = subprocess.run(
        [command()[0], "-X", "importtime", *command()[1:], "--help"],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=PROJECT,
    )
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "click" in imported
    slow = {"httpx", "trio", "lmdb", "nacl", "cbor2", "quart", "rich", "structlog", "msgspec", "platformdirs", "ssl"}
    assert not imported & slow
    assert not {name for name in imported if name.startswith("holo.store")}


def test_an_unknown_verb_is_answered_with_the_nearest() -> None:
    assert "did you mean `holo publish`?" in holo(None, "publsh", expect=2).err
    assert "did you mean `holo keys export`?" in holo(None, "keys", "exprt", expect=2).err
    assert "`holo --help` lists them" in holo(None, "xyzzy", expect=2).err


def test_global_options_work_before_and_after_the_verb(tmp_path: Path) -> None:
    home = tmp_path / "home"
    said(None, "keys", "new", "alice", "--home", home)
    before = said(None, "--home", home, "keys", "list")
    between = json.loads(holo(None, "keys", "--home", home, "--json", "list").out)
    after = json.loads(holo(None, "keys", "list", "--json", "--home", home).out)
    assert before == between == after
    assert [item["name"] for item in before["items"]] == ["alice"]


def test_the_home_may_come_from_the_environment(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert process("keys", "new", "a", env={"HOLO_HOME": str(one)}).code == 0
    assert process("--home", other, "keys", "new", "b", env={"HOLO_HOME": str(one)}).code == 0
    assert [path.name for path in (one / "keys").iterdir()] == ["a.key"]
    assert [path.name for path in (other / "keys").iterdir()] == ["b.key"]


def test_data_goes_to_stdout_and_progress_to_stderr(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    loud = process("--home", tmp_path / "home", "put", tmp_path / "file", "-v")
    assert loud.out.splitlines()[0].startswith("bafkr4i")
    quiet = process("--home", tmp_path / "home", "put", tmp_path / "file", "--quiet")
    assert quiet.out.splitlines() == [loud.out.splitlines()[0]]
    assert quiet.err == ""


def test_off_a_terminal_nothing_is_coloured(tmp_path: Path) -> None:
    assert "\x1b" not in process("explain", "held").out


def test_on_a_terminal_colours_are_used_unless_no_color_says_no() -> None:
    assert b"\x1b[1m" in _on_a_terminal({"TERM": "xterm"})
    assert b"\x1b" not in _on_a_terminal({"TERM": "xterm", "NO_COLOR": "1"})
    assert b"\x1b" not in _on_a_terminal({"TERM": "dumb"})


def test_an_interrupt_ends_with_130(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        running = subprocess.Popen(
            command("--home", tmp_path / "home", "--node", url, "status"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            cwd=PROJECT,
        )
        connection, _ = server.accept()  # it now waits for an answer that never comes
        with connection:
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, b"")
    assert b"Traceback" not in err


INTERRUPTED = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("click", INTERRUPTED),  # while the first thing is loaded
        ("sitecustomize", f"import atexit\natexit.register(lambda: exec({INTERRUPTED!r}))\n"),  # on the way out
    ],
)
def test_an_interrupt_while_holo_loads_or_ends_shows_no_traceback(tmp_path: Path, module: str, text: str) -> None:
    (tmp_path / f"{module}.py").write_text(text)
    done = subprocess.run(
        command("explain", "held"),
        capture_output=True,
        env=environment(PYTHONPATH=str(tmp_path)),
        cwd=PROJECT,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


def test_an_interrupt_that_the_shell_had_ignored_stays_ignored(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import atexit\natexit.register(lambda: exec({INTERRUPTED!r}))\n")
    done = subprocess.run(
        command("explain", "held"),
        capture_output=True,
        env=environment(PYTHONPATH=str(tmp_path)),
        cwd=PROJECT,
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_broken_pipe_ends_with_141() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            command("explain"), stdout=write, stderr=subprocess.PIPE, env=environment(), cwd=PROJECT, timeout=60
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_fault_of_holo_itself_ends_with_70(tmp_path: Path) -> None:
    home = tmp_path / "home"
    own_key(Home(home), "node")
    (home / "records").mkdir(mode=0o700)
    (home / "records" / "data.mdb").write_bytes(b"this is no database" * 1000)
    problem = said(home, "status", expect=70)
    assert problem["code"] == "store-corrupt"
    assert problem["status"] == 500


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str) -> None:
    found = said(None, "completion", shell)
    assert found["shell"] == shell
    assert "_HOLO_COMPLETE" in found["script"]
    assert found["script"].rstrip() == holo(None, "completion", shell).out.rstrip()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("holo pub", ["publish"]),
        ("holo keys ex", ["export"]),
        ("holo keys list --js", ["--json"]),
        ("holo --no", ["--node"]),
        ("holo ns end", ["endorse"]),
        ("holo ns revoke acme alice --sign", ["--sign-only"]),
        ("holo ns endorse ch", ["ch"]),
        ("holo trust po", ["policy"]),
        ("holo trust policy mine --min", ["--min-signers"]),
        ("holo resolve acme/tool --policy RE", ["RE"]),
    ],
)
def test_the_shell_is_offered_what_fits(words: str, offered: list[str]) -> None:
    last = len(words.split()) - 1
    variables = {"_HOLO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(last)}
    done = subprocess.run(command(), capture_output=True, text=True, env=environment(**variables), cwd=PROJECT)
    assert [line.split(",")[1] for line in done.stdout.splitlines()] == offered


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"holo \d+\.\d+\.\d+.*\n", holo(None, "--version").out)


def _on_a_terminal(variables: dict[str, str]) -> bytes:
    """What ``holo explain held`` prints on a pseudo-terminal."""
    ours, theirs = os.openpty()
    try:
        done = subprocess.Popen(
            command("explain", "held"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(**variables),
            cwd=PROJECT,
        )
    finally:
        os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 4096):
            parts.append(part)
    except OSError:  # Linux says so where the other end is closed; macOS returns nothing
        pass
    finally:
        os.close(ours)
    assert done.wait(30) == 0
    return b"".join(parts)
