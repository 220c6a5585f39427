"""``holo put`` and ``holo get``: content in this home's own store, and what publishing and verifying need of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from holo.cli import kinds
from holo.cli.group import Verb
from holo.cli.invocation import Invocation, counted, fields
from holo.core.cid import Cid
from holo.core.errors import Rejected
from holo.store.home import make_private_folder
from holo.store.intake import Content, Progress, identify

if TYPE_CHECKING:
    from holo.store.cam import Cam

_REPORT_S: Final = 1.0
_HERE: Final = "Content lies in this home; nodes hold names and proofs."


@click.command(cls=Verb)
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.pass_obj
def put(invocation: Invocation, path: Path) -> None:
    """Store a file or folder in this home and print its CID."""
    invocation.refuse_node(_HERE)
    found = store(invocation, path)
    lines = [str(found.cid)]
    if invocation.verbose:
        lines += fields([("files", found.files), ("bytes", found.size_bytes)])
    invocation.show({"path": str(path), "cid": str(found.cid), "size": found.size_bytes, "files": found.files}, lines)


@click.command(cls=Verb)
@click.argument("cid", type=kinds.cid)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write here; a file goes to stdout without it.")
@click.pass_obj
def get(invocation: Invocation, cid: Cid, output: Path | None) -> None:
    """Write stored content out again, every byte checked against CID."""
    invocation.refuse_node(_HERE)
    with open_cam(invocation, readonly=True) as cam:
        if output is None:
            if invocation.json:
                raise click.UsageError("Content and --json do not share stdout; give -o.")
            try:
                for part in cam.read_content(cid):
                    sys.stdout.buffer.write(part)
            except Rejected as error:
                if error.code != "type-mismatch":
                    raise
                raise click.UsageError(f"{cid} is a folder; give -o.") from None
            sys.stdout.buffer.flush()
            return
        found = cam.extract(cid, output)
    result = {"cid": str(cid), "path": str(output), "size": found.size_bytes, "files": found.files}
    invocation.show(result, f"{output}: {counted(found.files, 'file')}, {counted(found.size_bytes, 'byte')}")


def measure(invocation: Invocation, path: Path) -> Content:
    """What ``path`` is, nothing being kept."""
    return identify(path, _reporter(invocation))


def store(invocation: Invocation, path: Path) -> Content:
    """Store ``path`` in this home's content store."""
    with open_cam(invocation) as cam:
        return cam.put_path(path, _reporter(invocation))


@contextmanager
def open_cam(invocation: Invocation, *, readonly: bool = False) -> Iterator[Cam]:
    """The home's content store. It has locks of its own: it may be used while a node runs on the home."""
    from holo.profile import Store
    from holo.store.cam import Cam

    home, settings = invocation.home, Store()
    if not readonly:
        make_private_folder(home.create().cam)
    cam = Cam(
        home.cam,
        map_bytes=settings.map_bytes,
        free_reserve_bytes=settings.free_reserve_bytes,
        readonly=readonly,
    )
    try:
        yield cam
    finally:
        cam.close()


def _reporter(invocation: Invocation) -> Callable[[Progress], None] | None:
    """Progress once a second: over one line on a terminal, else in lines."""
    if invocation.quiet:
        return None
    last = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _REPORT_S:
            return
        last = now
        percent = 100 * progress.done_bytes // max(1, progress.total_bytes)
        invocation.say(f"{percent} % of {progress.total_bytes >> 20} MiB: {progress.path}")

    return report
