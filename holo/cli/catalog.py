"""``holo catalog``: what a head commits to, what changed between two, and proofs that a name is in it or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import msgspec

from holo.cli import kinds
from holo.cli.group import Noun
from holo.cli.history import when
from holo.cli.invocation import Invocation, counted, fields, table
from holo.cli.opening import open_client
from holo.client import Client
from holo.core import tree
from holo.core.cid import Cid
from holo.core.errors import HoloError, Rejected
from holo.core.head import open_head
from holo.core.limits import HEAD_BYTES, NODE_BYTES
from holo.core.names import Name
from holo.core.state import decode_catalog, decode_namespace_state, parse_current, parse_state_value
from holo.http.base64url import decode_base64url
from holo.http.types import CatalogReply


@click.group(cls=Noun)
def catalog() -> None:
    """The catalog: every name of every namespace, under one root that the node signs."""


@catalog.command()
@click.option("--prefix", help="Only names that start so, such as acme/.")
@click.option("--catalog", "cid", type=kinds.cid, help="A kept catalog; the newest otherwise.")
@click.pass_obj
def show(invocation: Invocation, prefix: str | None, cid: Cid | None) -> None:
    """The newest head, its catalog and the names in it."""
    with open_client(invocation) as client:
        newest = _current(client)
        names = list(client.catalog_entries(str(cid or newest.catalog), prefix))
    result: dict[str, Any] = {**msgspec.to_builtins(newest), "items": [msgspec.to_builtins(item) for item in names]}
    about = [("head", f"{newest.head}, seq {newest.seq}"), ("signed", when(newest.at_ms))]
    about += [("log", f"{newest.log}, {counted(newest.log_size, 'receipt')}"), ("names", str(newest.count))]
    if cid is not None:
        result = {"catalog": str(cid), "items": result["items"]}
        about = []
    lines = fields([("catalog", cid or newest.catalog), *about])
    invocation.show(result, [*lines, *table([item.name, *item.statements] for item in _padded(names))])


@catalog.command()
@click.argument("since", metavar="FROM", type=kinds.cid)
@click.argument("to", required=False, type=kinds.cid)
@click.pass_obj
def diff(invocation: Invocation, since: Cid, to: Cid | None) -> None:
    """The names whose statements differ between the catalogs FROM and TO; TO is the newest if it is not given."""
    with open_client(invocation) as client:
        target = str(to) if to is not None else _current(client).catalog
        changes = list(client.catalog_diff(target, str(since)))
    lines = []
    for change in changes:
        lines += [f"- {change.name} {statement}" for statement in change.before]
        lines += [f"+ {change.name} {statement}" for statement in change.after]
    items = [msgspec.to_builtins(change) for change in changes]
    invocation.show({"from": str(since), "catalog": target, "items": items}, lines)


@catalog.command()
@click.argument("name", type=kinds.name)
@click.option("--catalog", "cid", type=kinds.cid, help="A kept catalog; the newest otherwise.")
@click.pass_obj
def prove(invocation: Invocation, name: Name, cid: Cid | None) -> None:
    """Prove that NAME is in the catalog, or that it is not; checked here, node by node."""
    with open_client(invocation) as client:
        root = cid or Cid.parse(_current(client).catalog)
        proof = client.catalog_proof(str(root), str(name))
    nodes = [decode_base64url(node, NODE_BYTES, at="nodes") for node in proof.nodes]
    proved = check_catalog_proof(root, name, nodes)
    if proof.statements != [str(statement) for statement in proved]:
        raise HoloError("reply-invalid", "the proof proves other statements than the reply names", subject=str(name))
    result = {**msgspec.to_builtins(proof), "proved": True}
    verdict = [("present", str(statement)) for statement in proved] or [("absent", "proved")]
    lines = fields([("name", name), ("catalog", root), *verdict, ("nodes", len(nodes))])
    invocation.show(result, lines)


def check_catalog_proof(catalog: Cid, name: Name, nodes: Sequence[bytes]) -> tuple[Cid, ...]:
    """The current statements of ``name`` under ``catalog``, none where the proof shows its absence.

    ``nodes`` are the catalog, the path in its tree of namespaces and, where that has the namespace, its state and the
    path in its tree of bindings. Raises ``proof-invalid``, ``cid-mismatch``, ``tree-invalid`` or ``field-*``.
    """
    if not nodes:
        raise Rejected("proof-invalid", "no nodes", subject=str(name))
    roots = decode_catalog(_matching(catalog, nodes[0]))
    used, value = _path(roots.namespaces, name.namespace.encode(), nodes[1:])
    rest = nodes[1 + used :]
    if value is None:
        if rest:
            raise Rejected("proof-invalid", "nodes after the proof of absence", subject=str(name))
        return ()
    if not rest:
        raise Rejected("proof-invalid", "the namespace's state is missing", subject=str(name))
    state = decode_namespace_state(_matching(parse_state_value(value), rest[0]))
    used, value = _path(state.bindings, name.path.encode(), rest[1:])
    if used != len(rest) - 1:
        raise Rejected("proof-invalid", "nodes after the end of the path", subject=str(name))
    return () if value is None else tuple(item.statement for item in parse_current(value))


def _path(root: Cid, key: bytes, nodes: Sequence[bytes]) -> tuple[int, tree.Value | None]:
    """(how many of the first nodes are the path of ``key`` under ``root``, the value they prove)."""
    refused: HoloError = Rejected("proof-invalid", "no path")
    for used in range(1, len(nodes) + 1):  # a path that is cut short is refused, so that the first to pass is whole
        try:
            return used, tree.check_proof(root, key, nodes[:used])
        except Rejected as error:
            refused = error
    raise refused


def _matching(cid: Cid, data: bytes) -> bytes:
    if not cid.matches(data):
        raise Rejected("cid-mismatch", f"the bytes are not those of {cid}", subject=str(cid))
    return data


def _current(client: Client) -> CatalogReply:
    """The newest head's catalog, as the node's own signature has it."""
    newest = client.catalog()
    head = open_head(decode_base64url(newest.head_cose, 2 * HEAD_BYTES, at="head_cose"))
    if head.signer != client.kid() or str(head.catalog) != newest.catalog or str(head.id) != newest.head:
        raise Rejected("receipt-invalid", "the head is not the node's for this catalog", subject=newest.head)
    return newest


def _padded(names: Sequence[Any]) -> list[Any]:
    """The entries with as many statements each as the longest has, so that columns align."""
    most = max((len(item.statements) for item in names), default=0)
    return [
        msgspec.structs.replace(item, statements=item.statements + [""] * (most - len(item.statements)))
        for item in names
    ]
