"""What .holoignore leaves out, compared with git where the two languages agree."""

from __future__ import annotations

import random
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core.errors import Rejected
from holo.core.ignore import Ignore

PATHS = [
    f"{prefix}{name}"
    for prefix in ("", "a/", "b/", "a/b/", "a.b/", "ab/a/")
    for name in ("x", "y.py", "y.pyc", "ab.txt", "a-b", "zz~")
]


def kept(rules: str, paths: list[str]) -> set[str]:
    """The files that a walk from the top would keep."""
    ignore = Ignore.parse(rules.encode())

    def is_kept(path: str) -> bool:
        folders = [path[:at] for at, char in enumerate(path) if char == "/"]
        if any(ignore.leaves_out(folder, is_folder=True) for folder in folders):
            return False
        return not ignore.leaves_out(path, is_folder=False)

    return {path for path in paths if is_kept(path)}


@pytest.mark.parametrize(
    ("rules", "out", "stays"),
    [
        ("build/", ["build/x", "a/build/x"], ["build", "a/build"]),
        ("/build", ["build", "build/x"], ["a/build"]),
        ("a/b", ["a/b", "a/b/c"], ["x/a/b"]),
        ("*.py[co]", ["m.pyc", "a/m.pyo"], ["m.py", "m.pyx", "m.pycc"]),
        ("[!a-c]x", ["dx", "éx"], ["ax", "bx", "x"]),
        ("a/**", ["a/x", "a/x/y"], ["a", "b/a"]),
        ("**/x", ["x", "a/x", "a/b/x"], ["xx"]),
        ("a/**/x", ["a/x", "a/b/x", "a/b/c/x"], ["a", "x", "a/bx"]),
        ("*\n!keep\n", ["x"], ["keep"]),
        ("a\n!a/x\n", ["a/x", "a"], ["b"]),
        ("!x\nx\n", ["x"], ["y"]),
        ("# x\n\n   \nx  \r\n", ["x"], ["# x"]),
        ("*a*a*a*a*b", ["aaaab", "xaxaxaxab"], ["a" * 200, "aaab"]),
        ("a?c", ["abc", "aéc"], ["ac", "abbc"]),
        (".*", [".x", "a/.x"], ["a.x"]),
        ("X", ["X"], ["x"]),
    ],
)
def test_rules(rules: str, out: list[str], stays: list[str]) -> None:
    assert kept(rules, out + stays) == set(stays)


@pytest.mark.parametrize(
    "rule", ["a\\b", "[abc", "abc]", "[]", "[!]", "[z-a]", "[a/b]", "[[:alpha:]]", "/", "!", "a//b"]
)
def test_what_is_not_understood_is_refused(rule: str) -> None:
    with pytest.raises(Rejected) as refusal:
        Ignore.parse(f"x\n{rule}\n".encode())
    assert (refusal.value.code, refusal.value.at) == ("ignore-invalid", "line 2")


@pytest.mark.parametrize("data", [b"\xff", b"#" * 65537, b"x\n" * 1001])
def test_a_file_beyond_its_bounds_is_refused(data: bytes) -> None:
    with pytest.raises(Rejected) as refusal:
        Ignore.parse(data)
    assert refusal.value.code == "ignore-invalid"


@given(st.binary(max_size=60), st.sampled_from(PATHS))
def test_any_bytes_are_rules_or_refused(data: bytes, path: str) -> None:
    with suppress(Rejected):
        Ignore.parse(data).leaves_out(path, is_folder=False)


@pytest.mark.parametrize("seed", range(25))
def test_git_leaves_out_the_same(tmp_path: Path, seed: int) -> None:
    if shutil.which("git") is None:
        pytest.skip("no git to compare with")
    chance = random.Random(seed)
    atoms = ["a", "b", "ab", "x", "*", "**", "*.py", "*.py[co]", "a?b", "a*", "*b", "[a-b]", "[!a]*", "y.*", "ab.txt"]
    rules = ""
    for _ in range(chance.randint(1, 6)):
        body = "/".join(chance.choices(atoms, k=chance.randint(1, 3)))
        rules += (
            chance.choice(["", "", "!"]) + chance.choice(["", "", "/"]) + body + chance.choice(["", "", "/"]) + "\n"
        )
    for path in PATHS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    (tmp_path / ".gitignore").write_text(rules)
    git = ["git", "-c", "core.excludesFile=/dev/null", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    listed = subprocess.run(
        [*git, "ls-files", "--others", "--exclude-per-directory=.gitignore"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert kept(rules, PATHS) == set(listed) - {".gitignore"}, rules
