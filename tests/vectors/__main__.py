"""Write the golden vectors: ``python -m tests.vectors``; with ``--check`` only compare, and fail on any difference."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.vectors import (
    content,
    encoding,
    envelopes,
    errors,
    evidence,
    links,
    namespaces,
    peers,
    resolving,
    signing,
    state,
    trees,
)
from tests.vectors.form import Group

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures"


def groups() -> Iterator[Group]:
    """Every group of vectors, in the order of the specification."""
    for module in (encoding, envelopes, namespaces, trees, signing, evidence, resolving, state, content, peers, links):
        yield from module.groups()


def wanted() -> dict[Path, str]:
    """Every written file with what it has to hold."""
    files: dict[Path, str] = {}
    for group in groups():
        for name, text in group.files().items():
            path = FIXTURES / name
            assert path not in files, f"two groups are called {group.name}"
            files[path] = text
    table = ROOT / "docs" / "spec" / "errors.md"
    files[table] = errors.with_table(table.read_text())
    return files


def main() -> int:
    """Write or compare; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.vectors", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on any difference")
    check = parser.parse_args().check
    files = wanted()
    stale = [path for folder in ("valid", "invalid") for path in (FIXTURES / folder).glob("*") if path not in files]
    changed = [path for path, text in files.items() if not path.is_file() or path.read_text() != text]
    for path in sorted(changed + stale):
        print(f"{'differs' if check else 'wrote' if path in files else 'removed'} {path.relative_to(ROOT)}")
    if check:
        return 1 if changed or stale else 0
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path])
    for path in stale:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
