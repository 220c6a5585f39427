"""Signing a policy with the keys of this home, sending it, and saying what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from holo.cli import exits, passphrase, policy_edit
from holo.cli.invocation import Invocation, fields
from holo.cli.sealing import SealedOut
from holo.client import Client
from holo.core.envelope import make_record
from holo.core.errors import Rejected
from holo.core.keys import Kid, SigningKey, did_of
from holo.core.policy import Policy, check_child, check_genesis
from holo.core.proposal import Proposal, encode_proposal
from holo.core.receipt import PolicyReceipt, open_policy_receipt
from holo.http.base64url import decode_base64url
from holo.http.types import PolicyPosted
from holo.store.home import write_atomically
from holo.store.keyring import Keyring, StoredKey

sign_only_option: Final = click.option(
    "--sign-only",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Sign with the keys here and write it for `holo ns endorse`; do not send.",
)


def unlock_keys(keyring: Keyring, wanted: Iterable[Kid]) -> dict[Kid, SigningKey]:
    """The private keys that are here, of those that would be good to have."""
    here = {entry.kid: entry for entry in keyring.entries()}
    return {kid: passphrase.unlock(keyring, here[kid]) for kid in dict.fromkeys(wanted) if kid in here}


def endorsed(policy: Policy, parent: Policy | None, signing: Mapping[Kid, SigningKey]) -> Proposal:
    """The policy with the endorsements of these keys, which may not be all it needs."""
    return Proposal(policy, parent, make_record(policy.statement, *signing.values()).endorsements)


def send_policy(client: Client, proposal: Proposal, nodes: Sequence[bytes] = ()) -> tuple[PolicyPosted, PolicyReceipt]:
    """Send a policy, with nodes of its seal. Raises ``receipt-invalid`` for a receipt that is no good."""
    policy = proposal.policy
    posted = client.post_policy(policy.ns if policy.seq else None, proposal.record().envelopes(), nodes)
    if posted.receipt_cose is None:
        raise Rejected("receipt-invalid", "the node took the policy and gave no receipt", subject=policy.ns)
    receipt = open_policy_receipt(decode_base64url(posted.receipt_cose, 1 << 20, at="receipt_cose"))
    if receipt.signer != client.kid() or receipt.policy != policy.id:
        raise Rejected("receipt-invalid", f"{receipt.id} is not the node's receipt for this", subject=policy.ns)
    return posted, receipt


def require_complete(invocation: Invocation, proposal: Proposal) -> None:
    """Raises ``policy-incomplete`` while an endorsement is missing, and says how to get it."""
    if not proposal.complete:
        invocation.say("--sign-only FILE writes it for the other keys, which `holo ns endorse FILE` adds")
    if proposal.parent is None:
        check_genesis(proposal.policy, proposal.endorsements)
    else:
        check_child(proposal.parent, proposal.policy, proposal.endorsements)


def write_proposal(invocation: Invocation, file: Path, proposal: Proposal, recovery: StoredKey | None = None) -> None:
    """Write a proposal for others to endorse, and say what it has and whose endorsements it lacks."""
    write_atomically(file, encode_proposal(proposal), 0o644)
    policy, local = proposal.policy, policy_edit.owner_of(Keyring(invocation.home))
    result = {
        "ns": policy.ns,
        "policy": str(policy.id),
        "seq": policy.seq,
        "file": str(file),
        "complete": proposal.complete,
        "needs": [{"whose": item.whose, "have": item.have, "need": item.keys.threshold} for item in proposal.needs()],
        "awaited": [did_of(kid) for kid in proposal.awaited()],
    }
    if recovery is not None:
        result["recovery"] = recovery_view(recovery)
    lines = fields(
        [
            ("namespace", policy.ns),
            ("policy", policy.id),
            ("seq", policy.seq),
            ("file", file),
            *((item.whose, f"{item.have} of {item.keys.threshold}") for item in proposal.needs()),
            *(("could endorse", policy_edit.known(kid, local)) for kid in proposal.awaited()),
            ("next", f"holo ns endorse {file}"),
        ]
    )
    invocation.show(result, lines)


def recovery_view(recovery: StoredKey) -> dict[str, str]:
    """A recovery key that was just made, as JSON."""
    return {"name": recovery.name, "key": recovery.did, "path": str(recovery.path)}


def report(
    invocation: Invocation,
    posted: PolicyPosted,
    recovery: StoredKey | None = None,
    lost: Sequence[SealedOut] | None = None,
) -> None:
    """What became of a policy, and which names its seal caught unawares; exit 3 where it is not in effect."""
    result = msgspec.to_builtins(posted)
    if recovery is not None:
        result["recovery"] = recovery_view(recovery)
    if lost is not None:
        result["sealed_out"] = [
            {
                "name": str(item.name),
                "statement": str(item.statement),
                "cid": str(item.cid) if item.cid else None,
                "rev": item.rev,
            }
            for item in lost
        ]
    lines = fields(
        [
            ("namespace", posted.ns),
            ("genesis", posted.genesis),
            ("policy", posted.policy if posted.seq else None),
            ("seq", posted.seq),
            ("state", posted.state),
            ("receipt", posted.receipt),
        ]
    )
    invocation.show(result, lines)
    for item in lost or ():
        again = f"holo publish {item.name} --cid {item.cid}" if item.cid else f"holo yank {item.name}"
        invocation.warn(f"sealed out: {item.name} rev {item.rev}, published meanwhile; if it is good: {again}")
    if posted.state != "effective":
        raise click.exceptions.Exit(exits.INCONCLUSIVE)
