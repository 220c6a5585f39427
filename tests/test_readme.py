"""The README's commands, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def test_the_commands_by_hand_run_as_written(tmp_path: Path) -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## By hand")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 3
    script = "\n".join(blocks).replace("/tmp/holo-home", str(tmp_path / "home"))
    assert script.count("holo ") >= 14
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        ["/bin/sh", "-euxc", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "\nok\n" in ran.stdout, ran.stdout
    assert [line.split()[1] for line in ran.stdout.splitlines() if line.startswith("seq ")] == ["0", "1", "2"]


def test_the_first_screen_shows_what_the_demo_prints() -> None:
    """The labels and codes of the sample, against the lines the demo can print."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    sample = text.partition("holo demo ·")[2].partition("```")[0]
    said = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT / "holo" / "cli" / "demo").glob("*.py"))
    labels = re.findall(r"^ ?\d+ ok (\S+)", sample, re.MULTILINE)
    assert len(labels) == 16
    for label in (*labels, *re.findall(r"refused +(\S+)", sample)):
        assert label in said, label
