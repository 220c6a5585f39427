"""``holo resolve``: the answer to a name, and every rule that led to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import click
import msgspec

from holo.cli import kinds
from holo.cli.exits import INCONCLUSIVE, OK, exit_of_decision
from holo.cli.group import Verb
from holo.cli.invocation import Invocation, fields
from holo.cli.opening import open_client
from holo.client import Client
from holo.core import decision
from holo.core.cid import Cid
from holo.core.consumer import ConsumerPolicy
from holo.core.errors import HoloError, Rejected
from holo.core.head import Anchors
from holo.core.limits import AGREEING_NODES, BUNDLE_BYTES
from holo.core.names import Name
from holo.http.base64url import decode_base64url
from holo.http.types import Resolved, ResolvedWithReceipt, Step
from holo.store.home import write_atomically
from holo.store.trust import read_trust

Reader: TypeAlias = Cid | ConsumerPolicy | None

_STYLE: Final = {"resolved": "ok", "refused": "bad"}

reader_policy: Final = click.option(
    "--policy",
    type=kinds.reader_policy,
    metavar="CID|FILE",
    shell_complete=kinds.complete_file,
    help="Yours, as the reader: a genesis, the policy in effect, or a file that `holo trust policy` wrote.",
)

agree_option: Final = click.option(
    "--agree",
    type=click.IntRange(1, AGREEING_NODES),
    default=1,
    metavar="K",
    help="K of the nodes that --node names must decide the same (1).",
)


@click.command(cls=Verb)
@click.argument("name", type=kinds.name)
@reader_policy
@click.option(
    "--receipt", type=click.Path(path_type=Path), metavar="FILE", help="Keep the proof: a bundle for strangers."
)
@agree_option
@click.pass_obj
def resolve(invocation: Invocation, name: Name, policy: Reader, receipt: Path | None, agree: int) -> None:
    """What NAME stands for. -v says why; the exit code is 0 only where the answer is content."""
    found = answer(invocation, name, policy, agree, receipt)
    lines = [found.cid or invocation.mark(found.outcome, _STYLE.get(found.outcome, "warn"))]
    if invocation.verbose or found.outcome != "resolved":
        lines = [*step_lines(found.steps), *summary(invocation, found)]
    invocation.show(plain(found), lines)
    if "forked" in found.flags:
        invocation.warn("the name is forked: another signer bound it differently at this revision")
    code = exit_of_decision(found.outcome, plain(found)["steps"]) or exit_of_agreement(invocation, policy, agree)
    if code != OK:
        raise click.exceptions.Exit(code)


def answer(
    invocation: Invocation, name: Name, policy: Reader, agree: int = 1, bundle_file: Path | None = None
) -> Resolved:
    """The decision of the node that is asked, or the one that as many nodes give as the reader wants to agree.

    Where fewer nodes are named than have to agree, the first answers; :func:`exit_of_agreement` then says that this is
    not enough.
    """
    demanded = demanded_of(policy, agree)
    if 1 < demanded <= len(invocation.nodes):
        from holo.cli.agreement import ask_nodes

        return ask_nodes(invocation, name, policy, demanded, bundle_file)
    with open_client(invocation) as client:
        return ask(invocation, client, name, policy, bundle_file)


def ask(
    invocation: Invocation, client: Client, name: Name, policy: Reader, bundle_file: Path | None = None
) -> Resolved:
    """The node's decision. The genesis this home pins is asked for where the reader names no policy.

    With ``bundle_file`` the proof is checked here, with the node as its anchor, and written there. Raises
    ``genesis-foreign`` where a consumer policy was decided by in another namespace than the pinned one.
    """
    if bundle_file is not None:
        found, bundle = ask_for_proof(invocation, client, name, policy)
        write_bundle(invocation, bundle_file, bundle)
        return found
    reader, pinned = _reader(invocation, name, policy)
    plainly = client.resolve(str(name), reader)
    _require_pinned(plainly, name, reader, pinned)
    return plainly


def ask_for_proof(
    invocation: Invocation, client: Client, name: Name, policy: Reader
) -> tuple[ResolvedWithReceipt, bytes]:
    """As :func:`ask`, with the bundle, which was checked."""
    reader, pinned = _reader(invocation, name, policy)
    found = client.resolve_with_receipt(str(name), reader)
    _require_pinned(found, name, reader, pinned)
    bundle = decode_base64url(found.bundle, BUNDLE_BYTES, at="bundle")
    _check_bundle(client, bundle, found)
    return found, bundle


def write_bundle(invocation: Invocation, file: Path, bundle: bytes) -> None:
    """Keep a bundle for strangers."""
    write_atomically(file, bundle, 0o644)
    invocation.say(f"wrote {file}, {len(bundle)} bytes")


def demanded_of(policy: Reader, agree: int) -> int:
    """How many nodes have to give the same decision."""
    return max(agree, policy.agreeing if isinstance(policy, ConsumerPolicy) else 1)


def _reader(invocation: Invocation, name: Name, policy: Reader) -> tuple[Reader, Cid | None]:
    """(what is asked by, the genesis that this home pins)."""
    pinned = read_trust(invocation.home).namespaces.get(name.namespace)
    return (pinned if policy is None else policy), pinned


def plain(found: Resolved) -> dict[str, Any]:
    """The decision and nothing else, as JSON."""
    value = msgspec.to_builtins(found)
    assert isinstance(value, dict)
    return {key: item for key, item in value.items() if key not in ("receipt_cose", "bundle")}


def step_lines(steps: Sequence[Step]) -> Iterator[str]:
    """One line a rule: whether it holds, its code, and what it says."""
    width = max((len(step.code) for step in steps), default=0)
    for step in steps:
        yield f"{'ok ' if step.ok else 'NO '} {step.code:{width}}  {sentence(step)}"


def sentence(step: Step) -> str:
    """What a step says, for people; a newer node may apply rules unknown here."""
    holds, fails = decision.SENTENCES.get(step.code, (step.code, step.code))
    text = holds if step.ok else fails
    return text.format(subject=step.subject or "none", n="none" if step.n is None else step.n)


def summary(invocation: Invocation, found: Resolved) -> list[str]:
    """The outcome and its ids."""
    outcome = invocation.mark(found.outcome, _STYLE.get(found.outcome, "warn"))
    return fields(
        [
            ("outcome", outcome),
            ("cid", found.cid),
            ("rev", found.rev),
            ("statement", found.statement),
            ("policy", found.policy),
            ("decision", found.decision),
        ]
    )


def exit_of_agreement(invocation: Invocation, policy: Reader, agree: int = 1) -> int:
    """The exit code where a reader wants several nodes to agree and names fewer: that is inconclusive."""
    demanded, named = demanded_of(policy, agree), max(1, len(invocation.nodes))
    if demanded <= named:
        return OK  # so many were asked, and agreed
    whose = "your policy wants" if demanded > agree else "--agree wants"
    invocation.warn(f"{whose} {demanded} nodes to agree; this is the decision of one, name them all with --node")
    return INCONCLUSIVE


def _require_pinned(found: Resolved, name: Name, policy: Reader, pinned: Cid | None) -> None:
    if isinstance(policy, ConsumerPolicy) and pinned is not None and found.genesis not in (None, str(pinned)):
        raise Rejected(
            "genesis-foreign",
            f"{name.namespace} is pinned to {pinned} here; the node has {found.genesis}",
            subject=name.namespace,
        )


def _check_bundle(client: Client, bundle: bytes, found: ResolvedWithReceipt) -> None:
    from holo.core.bundle import verify_bundle  # only those who keep the proof pay for it

    report = verify_bundle(bundle, Anchors(nodes=frozenset({client.kid()})))
    bad = next((check for check in report.checks if check.verdict == "bad"), None)
    if bad is not None:
        raise Rejected("bundle-invalid", f"{bad.code}: {bad.detail}", at=bad.at)
    if found.decision not in {
        str(receipt.decision.as_statement().id) for receipt in report.receipts if hasattr(receipt, "decision")
    }:
        raise HoloError("reply-invalid", "the bundle proves another decision than the reply", subject=found.name)
