"""The demo: all sixteen lines, in a folder of its own, with nothing left running; and it can fail."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from holo.cli.demo import stage
from holo.cli.demo.stage import DemoFailed, make_folder, node_process
from tests.cli.runner import holo, process, said

LINES = ["namespace", "publish", "pending", "cosign", "resolve", "verify", "rollback", *(4 * ["refused"])]
LINES += ["peers", "parted", "healed", "settled", "caught"]


@pytest.mark.slow
def test_the_demo_shows_all_it_promises(folder: Path) -> None:
    play = folder / "play"
    ran = process("demo", "--folder", play)
    assert ran.code == 0, ran.out + ran.err
    lines = ran.out.splitlines()
    assert lines[0] == "holo demo · real nodes on loopback"
    assert [line.split()[:3] for line in lines[1:17]] == [[str(at + 1), "ok", what] for at, what in enumerate(LINES)]
    assert "7 of 7 rules" in lines[5]
    assert "networking denied" in lines[6]
    assert "3 of 3 nodes agree" in lines[15]
    assert "proof is at all 3 peers" in lines[16]
    assert [line.split()[3] for line in lines[8:12]] == [
        "signature-invalid",
        "binding-stale",
        "signer-not-allowed",
        "policy-foreign",
    ]
    assert lines[17].startswith("proved: ")
    told = re.fullmatch(r"(\d+) s · next: holo --home (\S+) why acme/holo:stable", lines[18])
    assert told is not None
    for denial in (line.split()[-1] for line in lines[8:12]):
        assert said(play / "a", "receipts", "show", denial)["type"] == "denial-receipt"
    assert "resolved" in holo(Path(told[2]), "why", "acme/holo:stable").out
    assert not (play / "a" / "node.json").exists()
    again = process("--json", "demo", "--folder", play)
    assert again.json["ok"], again.out  # a demo may be played again where one was


def test_the_demo_empties_no_folder_but_its_own(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    failed = said(None, "demo", "--folder", tmp_path, expect=1)
    assert (failed["ok"], failed["lines"][-1]["ok"]) == (False, False)
    assert (tmp_path / "precious").exists()
    assert make_folder(tmp_path / "new").is_dir()


def test_a_verb_that_ends_otherwise_fails_the_demo(tmp_path: Path) -> None:
    with pytest.raises(DemoFailed, match="ended with 5 instead of 0"):
        stage.verb(tmp_path / "home", "keys", "show", "nobody")
    with pytest.raises(DemoFailed, match="no JSON object"):
        stage.verb(tmp_path / "home", "--help")
    with pytest.raises(DemoFailed, match="this is not so"):
        stage.require(False, "this is not so")


def test_a_node_is_stopped_when_the_block_fails(folder: Path) -> None:
    started = []

    def fail() -> None:
        with node_process(folder / "failing") as node:
            started.append(node.process)
            os.kill(node.process.pid, 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [process.returncode for process in started] == [0]
