"""``holo why``: a name, an id or a receipt, explained in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from holo.cli import kinds
from holo.cli.evidence import lines_of_evidence, view_of_evidence
from holo.cli.exits import OK, exit_of_decision
from holo.cli.explain import entries
from holo.cli.group import Verb
from holo.cli.history import when
from holo.cli.invocation import Invocation, fields
from holo.cli.opening import open_client
from holo.cli.receipts import lines_of
from holo.cli.resolve import ask, plain, step_lines, summary
from holo.client import Client
from holo.core.cid import Cid
from holo.core.errors import HoloError, Missing
from holo.core.evidence import TYPES as EVIDENCE
from holo.core.evidence import open_evidence
from holo.core.keys import Kid, did_of
from holo.core.limits import EVIDENCE_BYTES, RECEIPT_BYTES
from holo.core.names import Name
from holo.core.peer_receipts import EVIDENCE_RECEIPT
from holo.core.receipt import DenialReceipt, open_receipt
from holo.http.base64url import decode_base64url
from holo.http.types import BindingItem, ReceiptItem, Resolved


@click.command(cls=Verb)
@click.argument("subject", metavar="NAME|CID|RECEIPT|DID")
@click.pass_obj
def why(invocation: Invocation, subject: str) -> None:
    """Why a name stands for what it does, what an id is, what a receipt says and why, or what a key was caught at.

    For a name the exit code is that of `holo resolve`.
    """
    code = OK
    with open_client(invocation) as client:
        if "/" in subject:
            name = kinds.name(subject)
            found = ask(invocation, client, name, None)
            result, lines = _name(client, name, found, summary(invocation, found))
            code = exit_of_decision(found.outcome, result["decision"]["steps"])
        elif subject.startswith("did:"):
            result, lines = _key(client, kinds.did(subject))
        else:
            result, lines = _id(invocation, client, kinds.cid(subject))
    invocation.show(result, lines)
    if code != OK:
        raise click.exceptions.Exit(code)


def _name(client: Client, name: Name, found: Resolved, ids: list[str]) -> tuple[dict[str, Any], list[str]]:
    bare = str(Name(name.namespace, name.handle, name.tag))
    hosted = found.genesis is not None
    current = list(client.bindings(name.namespace, name=bare)) if hosted else []
    pending = list(client.bindings(name.namespace, name=bare, state="pending")) if hosted else []
    receipts = list(client.receipts(subject=found.statement)) if found.statement else []
    result = {
        "kind": "name",
        "decision": plain(found),
        "current": [msgspec.to_builtins(item) for item in current],
        "pending": [msgspec.to_builtins(item) for item in pending],
        "receipts": [item.receipt for item in receipts],
    }
    lines = [*step_lines(found.steps), "", *ids, *_told(found, current, pending, receipts)]
    return result, lines


def _told(
    found: Resolved, current: list[BindingItem], pending: list[BindingItem], receipts: list[ReceiptItem]
) -> Iterator[str]:
    """What the steps alone do not say: who signed, who still has to, and where it is written down."""
    yield f"{found.outcome}: {_meaning(found.outcome)}"
    for item in current:
        signed = f"rev {item.rev}, {item.have} of {item.need} signatures, {when(item.at_ms)} by the signer's clock"
        yield f"current {item.statement}: {signed}"
        yield from (f"  signed by {did}" for did in item.signers)
        if item.reason:
            yield f"  reason: {item.reason}"
    for item in pending:
        wanted = f"rev {item.rev} for {item.cid or 'a yank'}"
        yield f"waits {item.statement}: {wanted}, {item.have} of {item.need} signatures"
        yield from (f"  signed by {did}" for did in item.signers)
        yield f"  next: holo cosign {item.name}"
    for receipt in receipts:
        yield f"receipt {receipt.receipt}: entry {receipt.seq} of log {receipt.log}, {when(receipt.at_ms)}"
    yield "proved: who signed what, and in which order this node took it in. not proved: that it is harmless"


def _id(invocation: Invocation, client: Client, cid: Cid) -> tuple[dict[str, Any], list[str]]:
    """A receipt, else any object the node has, else content that names stand for."""
    try:
        item = client.receipt(cid)
    except HoloError as error:
        if error.code != "not-found":
            raise
        return _object(client, cid)
    opened = open_receipt(decode_base64url(item.receipt_cose, 2 * RECEIPT_BYTES, at="receipt_cose"))
    lines = lines_of(opened)
    if isinstance(opened, DenialReceipt):
        known = next((entry for entry in entries() if entry.code == opened.code), None)
        if known is not None:
            lines += [f"{known.code}: {known.title}", f"fix: {known.facts['fix']}"]
    elif "state" in item.view:
        lines += [f"{item.view['state']}: {_meaning(item.view['state'])}"]
    return {"kind": "receipt", **msgspec.to_builtins(item)}, lines


def _key(client: Client, key: Kid) -> tuple[dict[str, Any], list[str]]:
    """What there is against a key: the evidence itself, verified here, and the node's receipts for it."""
    did = did_of(key)
    receipts = [item for item in client.receipts(type=EVIDENCE_RECEIPT) if item.view["subject"] == did]
    if not receipts:
        detail = f"this node has taken in no evidence against {did} in its current log"
        return {"kind": "key", "key": did, "evidence": None, "receipts": []}, [detail]
    result: dict[str, Any] = {"kind": "key", "key": did, "receipts": [msgspec.to_builtins(item) for item in receipts]}
    told = [f"receipt {item.receipt}: taken in as entry {item.seq} of log {item.log}" for item in receipts]
    standing = receipts[-1].view["evidence"]
    try:
        found, lines = _object(client, Cid.parse(standing))
    except HoloError as error:
        if error.code != "not-found":
            raise
        found, lines = {"evidence": None}, [f"{did} was exposed by {standing}, whose place other evidence has taken"]
    return {**result, "evidence": found}, [*lines, *told]


def _object(client: Client, cid: Cid) -> tuple[dict[str, Any], list[str]]:
    try:
        found = client.object(cid)
    except HoloError as error:
        if error.code != "not-found":
            raise
        return _content(client, cid)
    if found.type in EVIDENCE:
        evidence = open_evidence(decode_base64url(found.data, EVIDENCE_BYTES, at="data"))
        return {"kind": "evidence", **view_of_evidence(evidence)}, lines_of_evidence(evidence)
    result = {"kind": "object", **msgspec.to_builtins(found)}
    lines = fields([("id", cid), ("type", found.type or "a node of a tree"), ("bytes", found.size)])
    if found.view is not None:
        lines += [f"  {line}" for line in fields((name, _short(item)) for name, item in found.view.items())]
    if found.type == "binding" and found.view is not None:
        name = str(Name(found.view["ns"], found.view["handle"], found.view["tag"]))
        state = next(
            (item.state for item in client.history(found.view["ns"], name) if item.statement == str(cid)), None
        )
        result["state"] = state or "pending"
        lines += [f"{name}: {result['state']}: {_meaning(result['state'])}"]
    return result, lines


def _content(client: Client, cid: Cid) -> tuple[dict[str, Any], list[str]]:
    """Content is not the node's to hold: say which names stand for it."""
    names = [item for ns in client.namespaces() for item in client.bindings(ns.ns) if item.cid == str(cid)]
    if not names:
        raise Missing("not-found", f"{cid} is no receipt, no object and no name's content here", subject=str(cid))
    result = {"kind": "content", "cid": str(cid), "names": [msgspec.to_builtins(item) for item in names]}
    lines = [f"content of {item.name} rev {item.rev}, signed by {' '.join(item.signers)}" for item in names]
    return result, [f"{cid}", *lines]


def _meaning(code: str) -> str:
    return next((entry.title for entry in entries() if entry.code == code and entry.kind in ("outcome", "state")), code)


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    return msgspec.json.encode(value).decode()
