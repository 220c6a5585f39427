"""Making a signed binding: under which policy, after what, with which key; and sending it so that it is sent once.

A record is saved in the outbox before it leaves. Whatever goes wrong after that, the next try for the same intent
sends the very same bytes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from holo.cli import passphrase
from holo.cli.invocation import Invocation
from holo.client import Client, NodeRefused
from holo.client.registry import WAIT_S
from holo.core import keys
from holo.core.binding import Binding, open_binding
from holo.core.cid import Cid
from holo.core.draft import draft_binding
from holo.core.envelope import Record, make_record
from holo.core.errors import HoloError, Rejected
from holo.core.keys import SigningKey
from holo.core.names import Name
from holo.core.policy import Policy, open_policy
from holo.core.receipt import open_binding_receipt
from holo.http.base64url import decode_base64url
from holo.http.types import BindingPosted
from holo.store.keyring import Keyring, StoredKey, describe_file
from holo.store.outbox import Outbox
from holo.store.trust import read_trust

_UNDECIDED: Final = frozenset({"unreachable", "overloaded", "rate-limited", "stopping", "reply-invalid", "internal"})


@dataclass(frozen=True, slots=True)
class Ground:
    """What a new binding stands on: the policy in effect, the genesis, and what is current now."""

    policy: Policy
    genesis: Cid
    current: tuple[Binding, ...]
    pending: tuple[tuple[Binding, Record], ...]

    @property
    def rev(self) -> int:
        """The current revision, 0 where there is none."""
        return max((binding.rev for binding in self.current), default=0)


def read_ground(invocation: Invocation, client: Client, name: Name, expected: Cid | None = None) -> Ground:
    """Ask the node what a new binding of ``name`` has to stand on, every signature checked here.

    Raises ``genesis-foreign`` where the namespace is pinned to another genesis, ``policy-superseded`` where
    ``expected`` is not the policy in effect.
    """
    policy, genesis = read_policy(invocation, client, name.namespace)
    if expected is not None and expected not in (policy.id, genesis):
        raise Rejected("policy-superseded", f"{policy.id} is in effect, not {expected}", subject=name.namespace)
    plain = Name(name.namespace, name.handle, name.tag)
    found = [open_item(item, plain) for item in client.bindings(name.namespace, name=str(plain))]
    waiting = [open_item(item, plain) for item in client.bindings(name.namespace, name=str(plain), state="pending")]
    return Ground(policy, genesis, tuple(binding for binding, _ in found), tuple(waiting))


def read_policy(invocation: Invocation, client: Client, ns: str, seq: int | None = None) -> tuple[Policy, Cid]:
    """(policy, genesis) of a namespace as the node gives it. Raises ``genesis-foreign`` against a pin of this home."""
    policy, _, genesis = read_policy_record(invocation, client, ns, seq)
    return policy, genesis


def read_policy_record(
    invocation: Invocation, client: Client, ns: str, seq: int | None = None, wanted: Cid | None = None
) -> tuple[Policy, Record, Cid]:
    """As :func:`read_policy`, with the record; ``wanted`` is the id of any policy the node knows, rivals included."""
    reply = client.policy(ns, seq, wanted)
    policy, record = open_policy([decode_base64url(text, 1 << 20, at="policy_cose") for text in reply.policy_cose])
    genesis = Cid.parse(reply.genesis)
    pinned = read_trust(invocation.home).namespaces.get(ns)
    if pinned is not None and pinned != genesis:
        raise Rejected("genesis-foreign", f"{ns} is pinned to {pinned} here; the node has {genesis}", subject=ns)
    named = str(policy.id) == reply.policy and wanted in (None, policy.id)
    if not named or policy.ns != ns or (policy.seq == 0 and policy.id != genesis):
        raise HoloError("reply-invalid", f"the node's policy of {ns} is not the one it names", subject=ns)
    return policy, record, genesis


def open_item(item: Any, name: Name) -> tuple[Binding, Record]:
    """The verified record of a :class:`~holo.http.types.BindingItem`, which has to be about ``name``."""
    binding, record = open_binding([decode_base64url(text, 1 << 20, at="record_cose") for text in item.record_cose])
    if binding.name != name or str(binding.id) != item.statement:
        raise HoloError("reply-invalid", f"the node's record is about {binding.name}", subject=str(name))
    return binding, record


def choose_key(keyring: Keyring, policy: Policy, name: Name, wanted: str | None) -> StoredKey:
    """The key to sign ``name`` with: ``wanted``, HOLO_KEY, the only one here the policy allows, an allowed default.

    Raises a usage error that lists the candidates. The node's and operator's keys are in no keyring.
    """
    named = wanted or os.environ.get("HOLO_KEY")
    if named:
        return find_key(keyring, named)
    allowed = [entry for entry in keyring.entries() if policy.positions([entry.kid], name.handle, name.tag)]
    if len(allowed) == 1:
        return allowed[0]
    default = keyring.default()
    for entry in allowed:
        if entry.name == default:
            return entry
    if allowed:
        listed = ", ".join(f"{entry.name} {entry.did}" for entry in allowed)
        raise click.UsageError(f"Several keys here may sign {name}; give --key: {listed}")
    may = ", ".join(keys.did_of(signer.key) for signer in policy.signers if signer.allows(name.handle, name.tag))
    raise click.UsageError(f"No key here may sign {name}; the policy allows {may or 'nobody'}")


def find_key(keyring: Keyring, named: str) -> StoredKey:
    """A key by its name or did:key, or the key file at a path."""
    return describe_file(Path(named)) if os.sep in named else keyring.find(named)


def unlock_key(invocation: Invocation, policy: Policy, name: Name, wanted: str | None) -> SigningKey:
    """The private key that :func:`choose_key` chooses."""
    keyring = Keyring(invocation.home)
    stored = choose_key(keyring, policy, name, wanted)
    invocation.say(f"signing with {stored.name} {stored.did}")
    return passphrase.unlock(keyring, stored)


@dataclass(frozen=True, slots=True)
class Intent:
    """What somebody wants a name to say."""

    name: Name
    cid: Cid | None
    reason: str | None = None
    meta: Mapping[str, Any] | None = None
    prev: tuple[Cid, ...] | None = None


def make_binding(invocation: Invocation, ground: Ground, intent: Intent, key: SigningKey) -> Record:
    """The signed record of ``intent``: the one in the outbox or the mailbox if this was said before, else a new one.

    A new one takes a revision above everything current and above whatever else this key has signed for the name, sent
    or not, and taken by whichever node: two statements of one key at one revision would hold the name.
    """
    outbox = Outbox(invocation.home)
    used = ground.rev
    for binding, record in outbox.waiting(intent.name):
        if key.kid not in record.endorsements:
            continue
        if (binding.cid, binding.policy) == (intent.cid, ground.policy.id) and intent.prev in (None, binding.prev):
            invocation.say(f"sending {binding.id} again, signed earlier and not answered for")
            return record
        used = max(used, binding.rev)
    last = outbox.last(intent.name)
    if last is not None and key.kid in last[1].endorsements and last[0].genesis == ground.genesis:
        lacking = last[0].rev > used and all(last[0].id != binding.id for binding, _ in ground.pending)
        used = max(used, last[0].rev)
        if lacking:
            invocation.warn(
                f"{last[0].id}, which you signed as rev {used}, is not at this node; this one comes above it"
            )
    prev = intent.prev if intent.prev is not None else tuple(binding.id for binding in ground.current)
    for binding, record in ground.pending:
        if key.kid not in record.endorsements:
            continue
        if (binding.cid, binding.policy, set(binding.prev)) == (intent.cid, ground.policy.id, set(prev)):
            invocation.say(f"{binding.id} says this already and waits for more signatures")
            return record
        used = max(used, binding.rev)
    binding = draft_binding(
        Name(intent.name.namespace, intent.name.handle, intent.name.tag),
        genesis=ground.genesis,
        policy=ground.policy.id,
        rev=used + 1,
        prev=prev,
        cid=intent.cid,
        at_ms=time.time_ns() // 1_000_000,
        reason=intent.reason,
        meta=intent.meta,
    )
    return make_record(binding.statement, key)


def send(invocation: Invocation, client: Client, ns: str, record: Record, *, wait: bool = True) -> BindingPosted:
    """Save and send ``record``; check the receipt. It stays in the outbox until a node has answered for it."""
    outbox = Outbox(invocation.home)
    outbox.save(record)
    try:
        posted = client.post_record(ns, record.envelopes(), wait_s=WAIT_S if wait else 0)
    except NodeRefused as error:
        if client.undecided:  # a node that refuses says nothing about one that did not answer
            invocation.warn(f"{record.statement.id} is kept: {', '.join(client.undecided)} may have taken it")
        elif error.code not in _UNDECIDED:
            outbox.drop(record.statement.id)
        raise
    except HoloError:
        invocation.warn(f"{record.statement.id} is signed and kept; the same command sends it again")
        raise
    check_receipt(client, posted, record.statement.id)
    outbox.settle(record)
    return posted


def check_receipt(client: Client, posted: BindingPosted, statement: Cid) -> None:
    """Raises ``receipt-invalid`` unless the receipt is the node's own, and about what was sent."""
    if posted.receipt_cose is None:
        raise Rejected("receipt-invalid", "the node took the record and gave no receipt", subject=str(statement))
    receipt = open_binding_receipt(decode_base64url(posted.receipt_cose, 1 << 20, at="receipt_cose"))
    if receipt.signer != client.kid() or receipt.subject != statement or str(receipt.id) != posted.receipt:
        raise Rejected("receipt-invalid", f"{receipt.id} is not the node's receipt for this", subject=str(statement))


def dids(record: Record) -> Sequence[str]:
    """The endorsers of a record as did:keys."""
    return [keys.did_of(kid) for kid in sorted(record.endorsements)]
