"""``holo receipts``: what nodes signed, listed from a node, verified without one.

``verify`` of a file and ``bundle-verify`` open no socket and no store. Trust comes from --signer, --genesis and
trust.toml; a good signature by somebody nobody vouched for is inconclusive, never ok.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from holo.cli import exits, kinds
from holo.cli.evidence import evidence_in, is_evidence, lines_of_evidence, view_of_evidence
from holo.cli.group import Noun
from holo.cli.history import when
from holo.cli.invocation import Invocation, fields, table
from holo.core import keys
from holo.core.bundle import verify_bundle
from holo.core.cid import Cid
from holo.core.errors import HoloError, Rejected
from holo.core.evidence import open_evidence
from holo.core.head import Anchors, Head, LogGenesis, open_head
from holo.core.keys import Kid
from holo.core.limits import BUNDLE_BYTES, EVIDENCE_BYTES, RECEIPT_BYTES
from holo.core.log import check_inclusion, leaf_hash
from holo.core.peer_receipts import ConvergenceReceipt, EvidenceReceipt
from holo.core.receipt import (
    BindingReceipt,
    DenialReceipt,
    Logged,
    PolicyReceipt,
    Receipt,
    ResolveReceipt,
    open_receipt,
)
from holo.core.report import CHECKS, Report
from holo.http.base64url import decode_base64url
from holo.http.types import view_of
from holo.store.home import need_small
from holo.store.trust import read_trust

_signer = click.option(
    "--signer", "signers", type=kinds.did, multiple=True, metavar="DID", help="Trust this node's key."
)
_genesis = click.option("--genesis", type=kinds.cid, multiple=True, metavar="CID", help="Trust this namespace.")
_offline = click.option("--offline", is_flag=True, help="Ask no node, whatever else is said.")
_RESULTS = {"ok": exits.OK, "bad": exits.BAD, "inconclusive": exits.INCONCLUSIVE}


@click.group(cls=Noun)
def receipts() -> None:
    """What nodes signed. Verifying a file needs no network and no node."""


@receipts.command("list")
@click.option("--type", "type_", help="As binding-, policy-, denial-, convergence- or evidence-receipt.")
@click.option("--subject", help="About this name, namespace or id.")
@click.option("--since", type=click.IntRange(0), help="From this seq of the log on.")
@click.pass_obj
def list_(invocation: Invocation, type_: str | None, subject: str | None, since: int | None) -> None:
    """The receipts of the node, oldest first."""
    from holo.cli.opening import open_client

    with open_client(invocation) as client:
        items = list(client.receipts(type=type_, subject=subject, since=since))
    rows = [[str(item.seq), when(item.at_ms), item.receipt, item.type, _about(item.view)] for item in items]
    invocation.show({"items": [msgspec.to_builtins(item) for item in items]}, table(rows))


@receipts.command()
@click.argument("receipt", type=kinds.cid)
@click.pass_obj
def show(invocation: Invocation, receipt: Cid) -> None:
    """One receipt of the node, its signature verified."""
    from holo.cli.opening import open_client

    with open_client(invocation) as client:
        item = client.receipt(receipt)
        node = client.kid()
    opened = open_receipt(decode_base64url(item.receipt_cose, 2 * RECEIPT_BYTES, at="receipt_cose"))
    if opened.id != receipt or opened.signer != node:
        raise Rejected("receipt-invalid", f"not the node's receipt {receipt}", subject=str(receipt))
    invocation.show(msgspec.to_builtins(item), lines_of(opened))


@receipts.command()
@click.argument("source", metavar="FILE|CID")
@_signer
@_genesis
@_offline
@click.pass_obj
def verify(
    invocation: Invocation, source: str, signers: tuple[Kid, ...], genesis: tuple[Cid, ...], offline: bool
) -> None:
    """Verify a receipt, head or log-genesis: a FILE (COSE, base64url or JSON with receipt_cose), without any node.

    A CID is fetched from the node and also proved to be in the log that its newest head signs. Evidence in a FILE
    proves itself: it takes no anchor.
    """
    anchors = _anchors(invocation, signers, genesis)
    if Path(source).exists():
        data = need_small(Path(source), 2 * EVIDENCE_BYTES)
        if is_evidence(data):
            evidence = open_evidence(evidence_in(data))
            invocation.show(view_of_evidence(evidence), [*lines_of_evidence(evidence), invocation.mark("proved", "ok")])
            return
        opened, logged = open_receipt(_envelope_in(data)), None
    elif offline:
        raise click.UsageError(f"There is no file {source}, and --offline fetches nothing.")
    else:
        opened, logged = _fetched(invocation, kinds.cid(source))
    try:
        anchors.require_node(opened.signer)
        trusted = True
    except HoloError:
        trusted = False
    did = keys.did_of(opened.signer)
    result = {
        "result": "ok" if trusted else "inconclusive",
        "receipt": str(opened.id),
        "type": opened.statement.type,
        "signer": did,
        "trusted": trusted,
        "logged": logged,
        "view": view_of(opened.statement.value),
    }
    lines = lines_of(opened)
    lines += (
        ["", invocation.mark("ok", "ok") + ": signed by a node you trust"] if trusted else _no_anchor(invocation, did)
    )
    if logged is not None:
        lines.append(f"in its log: entry {logged['index']} of {logged['size']}, proved against head {logged['head']}")
    invocation.show(result, lines)
    if not trusted:
        raise click.exceptions.Exit(exits.INCONCLUSIVE)


@receipts.command("bundle-verify")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_signer
@_genesis
@_offline
@click.pass_obj
def bundle_verify(
    invocation: Invocation, file: Path, signers: tuple[Kid, ...], genesis: tuple[Cid, ...], offline: bool
) -> None:
    """Make the decisions in a bundle again from its proofs alone, and say what they prove to you."""
    report = verify_bundle(need_small(file, BUNDLE_BYTES), _anchors(invocation, signers, genesis))
    checks = [
        {
            "code": check.code,
            "subject": check.subject,
            "verdict": check.verdict,
            "at": check.at,
            "detail": check.detail,
        }
        for check in report.checks
    ]
    claimed = [_decision(receipt) for receipt in report.receipts if isinstance(receipt, ResolveReceipt)]
    decisions = claimed if report.result != "bad" else []  # what a broken bundle claims is not repeated
    signed_by = sorted({keys.did_of(receipt.signer) for receipt in report.receipts})
    result = {
        "result": report.result,
        "receipts": [str(receipt.id) for receipt in report.receipts],
        "signers": signed_by,
        "decisions": decisions,
        "checks": checks,
    }
    invocation.show(result, _bundle_lines(invocation, report, decisions, signed_by))
    code = _RESULTS[report.result]
    if code != exits.OK:
        raise click.exceptions.Exit(code)


def _anchors(invocation: Invocation, signers: tuple[Kid, ...], genesis: tuple[Cid, ...]) -> Anchors:
    trust = read_trust(invocation.home)
    return Anchors(
        nodes=frozenset({*signers, *trust.nodes.values()}), genesis=frozenset({*genesis, *trust.namespaces.values()})
    )


def _envelope_in(data: bytes) -> bytes:
    """The COSE_Sign1 in a file: itself, in base64url, or in the JSON that verbs and nodes print."""
    if data[:1] == b"\xd2":
        return data
    try:
        text = data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise Rejected(
            "envelope-invalid", "neither COSE nor base64url nor JSON; a bundle is for `holo receipts bundle-verify`"
        ) from None
    if text.startswith("{"):
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Rejected("envelope-invalid", f"not JSON: {error}") from None
        found = next((value[name] for name in ("receipt_cose", "denial_cose", "head_cose") if value.get(name)), None)
        if not isinstance(found, str):
            raise Rejected("envelope-invalid", "the JSON holds no receipt_cose, denial_cose or head_cose")
        text = found
    return decode_base64url(text, 2 * RECEIPT_BYTES, at="receipt_cose")


def _fetched(invocation: Invocation, receipt: Cid) -> tuple[Receipt, dict[str, Any] | None]:
    """A receipt from the node, and its place in the log that the node's newest head signs."""
    from holo.cli.opening import open_client

    with open_client(invocation) as client:
        opened = open_receipt(decode_base64url(client.receipt(receipt).receipt_cose, 2 * RECEIPT_BYTES, at="receipt"))
        newest = client.catalog()
        if isinstance(opened, Logged) and str(opened.log) == newest.log and opened.seq >= newest.log_size:
            invocation.warn("no head covers this receipt yet; its place in the log is not proved")
            return opened, None
        proof = client.receipt_proof(receipt, newest.log_size)
    head = open_head(decode_base64url(newest.head_cose, 2 * RECEIPT_BYTES, at="head_cose"))
    if opened.id != receipt or opened.signer != head.signer:
        raise Rejected("receipt-invalid", f"not the receipt {receipt} of the head's signer", subject=str(receipt))
    if not isinstance(opened, Logged) or opened.log != head.log:
        raise Rejected("log-invalid", "the receipt is of another log than the head", subject=str(receipt))
    hashes = [decode_base64url(item, 32, at="hashes") for item in proof.hashes]
    check_inclusion(leaf_hash(bytes(receipt)), proof.index, head.log_size, hashes, head.log_root)
    return opened, {"log": str(head.log), "index": proof.index, "size": head.log_size, "head": str(head.id)}


def _no_anchor(invocation: Invocation, did: str) -> list[str]:
    return [
        "",
        invocation.mark("inconclusive", "warn") + f": the signature is good, and it is that of {did}",
        "whether to believe it is yours to say: --signer, --genesis or `holo trust add`",
    ]


def _decision(receipt: ResolveReceipt) -> dict[str, Any]:
    decision = receipt.decision
    return {
        "name": str(decision.query.name),
        "outcome": decision.outcome,
        "cid": str(decision.cid) if decision.cid else None,
        "statement": str(decision.statement) if decision.statement else None,
        "genesis": str(decision.genesis) if decision.genesis else None,
        "decision": str(decision.as_statement().id),
        "node": keys.did_of(receipt.node),
        "at_ms": receipt.at_ms,
    }


def _bundle_lines(
    invocation: Invocation, report: Report, decisions: list[dict[str, Any]], signed_by: list[str]
) -> list[str]:
    shown = report.checks if invocation.verbose else [check for check in report.checks if check.verdict != "ok"]
    lines = table([check.verdict, check.code, CHECKS[check.code], check.subject or ""] for check in shown)
    for check in shown:
        if check.detail:
            lines.append(f"{check.code}{' at ' + check.at if check.at else ''}: {check.detail}")
    held = sum(check.verdict == "ok" for check in report.checks)
    stated = sum(check.verdict == "stated" for check in report.checks)
    word = f"; for {stated} there is the node's word" if stated else ""
    lines.append(f"{held} of {len(report.checks)} checks hold{word}")
    for decision in decisions:
        lines.append(f"{decision['name']} {decision['outcome']} {decision['cid'] or ''}".rstrip())
        lines.append(f"said by {decision['node']} at {when(decision['at_ms'])}")
    if report.result == "inconclusive":
        return lines + _no_anchor(invocation, ", ".join(signed_by))
    return [*lines, invocation.mark(report.result, report.result)]


def lines_of(receipt: Receipt) -> list[str]:
    """A receipt for people."""
    pairs: list[tuple[str, object]] = [("receipt", receipt.id), ("type", receipt.statement.type)]
    pairs += [("signer", keys.did_of(receipt.signer))]
    if isinstance(receipt, BindingReceipt):
        pairs += [("name", receipt.name), ("rev", receipt.rev), ("cid", receipt.cid or "none: a yank")]
        pairs += [("state then", receipt.state), ("statement", receipt.subject)]
        pairs += [("endorsed by", keys.did_of(kid)) for kid in receipt.endorsers]
        pairs += [("displaced", item) for item in receipt.displaced]
    elif isinstance(receipt, PolicyReceipt):
        pairs += [("namespace", receipt.ns), ("genesis", receipt.genesis), ("policy", receipt.policy)]
        pairs += [("seq", receipt.policy_seq), ("state then", receipt.state)]
    elif isinstance(receipt, DenialReceipt):
        pairs += [("refused", receipt.action), ("code", receipt.code), ("rule", receipt.rule)]
        pairs += [("requester", keys.did_of(receipt.requester)), ("subject", receipt.subject)]
    elif isinstance(receipt, ConvergenceReceipt):
        pairs += [("equal with", keys.did_of(receipt.peer)), ("cites", receipt.cites or "none")]
        pairs += [("namespace", f"{item.ns} {item.genesis} in state {item.state}") for item in receipt.states]
    elif isinstance(receipt, EvidenceReceipt):
        pairs += [("against", keys.did_of(receipt.subject)), ("kind", receipt.kind), ("evidence", receipt.evidence)]
    elif isinstance(receipt, ResolveReceipt):
        pairs += [("name", receipt.decision.query.name), ("outcome", receipt.decision.outcome)]
        pairs += [("cid", receipt.decision.cid), ("decision", receipt.decision.as_statement().id)]
        pairs += [("head", receipt.head), ("catalog", receipt.catalog)]
    elif isinstance(receipt, Head):
        pairs += [("head of log", receipt.log), ("head seq", receipt.seq), ("catalog", receipt.catalog)]
        pairs += [("receipts", receipt.log_size)]
    if isinstance(receipt, Logged):
        pairs += [("log", receipt.log), ("seq", receipt.seq)]
    if not isinstance(receipt, LogGenesis):
        pairs += [("at", when(receipt.at_ms))]
    return fields(pairs)


def _about(view: dict[str, Any]) -> str:
    """What a receipt in a list is about, in a few words."""
    if "name" in view:
        return f"{view['name']} rev {view['rev']} {view['state']}"
    if "ns" in view:
        return f"{view['ns']} policy {view['policy_seq']} {view['state']}"
    if "states" in view:
        return f"equal with {view['peer']} in {len(view['states'])} namespaces"
    if "evidence" in view:
        return f"{view['subject']} signed two truths"
    return f"{view.get('action', '')} refused: {view.get('code', '')}"
