"""Signing a policy with the keys of this home, sending it, and saying what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import click
import msgspec

from holo.cli import exits, passphrase
from holo.cli.invocation import Invocation, fields
from holo.client import Client
from holo.core.envelope import make_record
from holo.core.errors import Rejected
from holo.core.keys import Kid, SigningKey
from holo.core.policy import Policy
from holo.core.receipt import open_policy_receipt
from holo.http.base64url import decode_base64url
from holo.http.types import PolicyPosted
from holo.store.keyring import Keyring, StoredKey


def unlock_keys(keyring: Keyring, wanted: Iterable[Kid]) -> dict[Kid, SigningKey]:
    """The private keys that are here, of those that would be good to have."""
    here = {entry.kid: entry for entry in keyring.entries()}
    return {kid: passphrase.unlock(keyring, here[kid]) for kid in dict.fromkeys(wanted) if kid in here}


def send_policy(
    client: Client, policy: Policy, signing: Mapping[Kid, SigningKey], nodes: Sequence[bytes] = ()
) -> PolicyPosted:
    """Sign and send a policy, with the nodes of its seal. Raises ``receipt-invalid`` for a receipt that is no good."""
    record = make_record(policy.statement, *signing.values())
    posted = client.post_policy(policy.ns if policy.seq else None, record.envelopes(), nodes)
    if posted.receipt_cose is None:
        raise Rejected("receipt-invalid", "the node took the policy and gave no receipt", subject=policy.ns)
    receipt = open_policy_receipt(decode_base64url(posted.receipt_cose, 1 << 20, at="receipt_cose"))
    if receipt.signer != client.kid() or receipt.policy != policy.id:
        raise Rejected("receipt-invalid", f"{receipt.id} is not the node's receipt for this", subject=policy.ns)
    return posted


def report(invocation: Invocation, posted: PolicyPosted, recovery: StoredKey | None = None) -> None:
    """What became of a policy; exit 3 where it is not in effect."""
    result = msgspec.to_builtins(posted)
    if recovery is not None:
        result["recovery"] = {"name": recovery.name, "key": recovery.did, "path": str(recovery.path)}
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
    if posted.state != "effective":
        raise click.exceptions.Exit(exits.INCONCLUSIVE)
