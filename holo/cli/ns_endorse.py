"""``holo ns endorse``: the next of several keys that have to agree to a policy, wherever it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from holo.cli import kinds, policy_edit, sealing
from holo.cli.group import Verb
from holo.cli.invocation import Invocation, counted
from holo.cli.opening import open_client
from holo.cli.policy_signing import endorsed, report, send_policy, unlock_keys, write_proposal
from holo.cli.signing import read_policy, read_policy_record
from holo.client import Client
from holo.core import names
from holo.core.cid import Cid
from holo.core.errors import HoloError, Rejected
from holo.core.keys import Kid, did_of
from holo.core.limits import NODE_BYTES, PROPOSAL_BYTES
from holo.core.names import Name
from holo.core.proposal import Proposal, decode_proposal
from holo.http.base64url import decode_base64url
from holo.store.home import need_small
from holo.store.keyring import Keyring
from holo.store.trust import pin_namespace


@click.command(cls=Verb)
@click.argument("subject", metavar="FILE|NAMESPACE", shell_complete=kinds.complete_file)
@click.option("--policy", "admitted", type=kinds.cid, metavar="CID", help="This policy of NAMESPACE, sent already.")
@click.option("--key", "chosen", multiple=True, metavar="KEY", help="With this key; else with all here that count.")
@click.option("--no-send", is_flag=True, help="Only write FILE; ask no node.")
@click.pass_obj
def endorse(invocation: Invocation, subject: str, admitted: Cid | None, chosen: tuple[str, ...], no_send: bool) -> None:
    """Add this home's root or recovery keys to a policy that others signed.

    FILE is what `--sign-only` wrote: once nothing is missing it is sent, else written back. NAMESPACE with --policy
    adds recovery keys to one that a node has, which decides between rivals.
    """
    if admitted is not None:
        if no_send:
            raise click.UsageError("A policy that a node has is not written to a file: leave out --no-send.")
        _endorse_admitted(invocation, subject, admitted, chosen)
        return
    file = Path(subject)
    if not file.is_file():
        raise click.UsageError(f"{subject!r} is no file; a NAMESPACE takes --policy CID.")
    proposal = decode_proposal(need_small(file, PROPOSAL_BYTES))
    wanted = _wanted(invocation, proposal, chosen)
    if no_send:
        _show(invocation, proposal, _Seen())
        write_proposal(invocation, file, _signed(invocation, proposal, wanted))
        return
    with open_client(invocation, writes=True) as client:
        _require_timely(invocation, client, proposal)
        seen = _look(client, proposal)
        _show(invocation, proposal, seen)
        whole = _signed(invocation, proposal, wanted)
        if not whole.complete:
            write_proposal(invocation, file, whole)
            return
        posted, receipt = send_policy(client, whole, whole.nodes)
        lost = []
        if whole.policy.seal is not None:
            lost = sealing.sealed_out(client, whole.policy.ns, seen.since, receipt.seq, seen.kept)
    if whole.parent is None:
        pin_namespace(invocation.home, whole.policy.ns, whole.policy.id)
    report(invocation, posted, lost=lost)


def _endorse_admitted(invocation: Invocation, ns: str, wanted: Cid, chosen: Sequence[str]) -> None:
    """Send a known policy again with more endorsements: the record has to be complete, so with those it has."""
    names.check_namespace(ns)
    with open_client(invocation, writes=True) as client:
        policy, record, _ = read_policy_record(invocation, client, ns, wanted=wanted)
        if policy.prev is None:
            raise Rejected("request-invalid", "a genesis has no rivals; nothing has to decide for it", subject=ns)
        parent, _, _ = read_policy_record(invocation, client, ns, wanted=policy.prev)
        proposal = Proposal(policy, parent, record.endorsements)
        local = policy_edit.owner_of(Keyring(invocation.home))
        here = [kid for kid in parent.recovery.keys if kid in local and kid not in record.endorsements]
        kids = _chosen(invocation, proposal, chosen) if chosen else here
        if not kids:
            listed = ", ".join(did_of(kid) for kid in parent.recovery.keys if kid not in record.endorsements)
            raise click.UsageError(f"No recovery key here could endorse it; could come from {listed or 'nobody'}.")
        _show(invocation, proposal, _look(client, proposal))
        whole = _signed(invocation, proposal, kids)
        posted, _ = send_policy(client, whole)
    have = sum(kid in whole.endorsements for kid in parent.recovery.keys)
    invocation.say(f"recovery keys: {have} of the {parent.recovery.threshold} that decide between rivals")
    report(invocation, posted, lost=[])


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a node says beside a proposal: where its log is, the statements the seal keeps, the names it drops."""

    since: int = 0
    kept: frozenset[Cid] = frozenset()
    lines: list[str] = field(default_factory=list)


def _look(client: Client, proposal: Proposal) -> _Seen:
    """Compare the seal with what is current. Raises ``not-found`` where neither file nor node has all of its tree."""
    policy = proposal.policy
    since = client.node().log_size
    if policy.seal is None:
        return _Seen(since)

    def fetch(cid: Cid) -> bytes:
        return decode_base64url(client.object(cid).data, NODE_BYTES, at="data")

    sealed = sealing.sealed_statements(policy.seal, proposal.nodes, fetch)
    lines = [f"seal keeps {counted(len(sealed), 'name')}"]
    for item in client.bindings(policy.ns):
        name = Name.parse(item.name)
        kept = sealed.get(name.path, [])
        if Cid.parse(item.statement) not in kept:
            instead = f"back to {' and '.join(map(str, kept))}" if kept else "dropped"
            lines.append(f"- name {name} rev {item.rev} {item.cid or 'a yank'}: {instead}")
    return _Seen(since, frozenset(cid for cids in sealed.values() for cid in cids), lines)


def _show(invocation: Invocation, proposal: Proposal, seen: _Seen) -> None:
    """What the policy changes, as `ns policy` shows it, and who endorsed it so far; then ask."""
    policy, local = proposal.policy, policy_edit.owner_of(Keyring(invocation.home))
    if proposal.parent is None:
        lines = policy_edit.describe(policy, local)
    else:
        lines = policy_edit.differences(proposal.parent, policy, local)
    if policy.seal is not None:
        lines += seen.lines or [f"seal {policy.seal}: which names it drops only a node can say"]
    lines += [f"endorsed by {policy_edit.known(kid, local)}" for kid in sorted(proposal.endorsements)]
    for line in lines:
        invocation.say(line)
    invocation.confirm(f"Endorse policy {policy.seq} of {policy.ns}, {policy.id}?")


def _wanted(invocation: Invocation, proposal: Proposal, chosen: Sequence[str]) -> list[Kid]:
    """The keys to add: those chosen, else all here that could give what is missing. None where nothing is missing."""
    if chosen:
        return _chosen(invocation, proposal, chosen)
    local = policy_edit.owner_of(Keyring(invocation.home))
    here = [kid for kid in proposal.awaited() if kid in local]
    if not here and not proposal.complete:
        listed = ", ".join(did_of(kid) for kid in proposal.awaited())
        raise click.UsageError(f"No key here could endorse it; could come from {listed}.")
    return here


def _chosen(invocation: Invocation, proposal: Proposal, chosen: Sequence[str]) -> list[Kid]:
    """The keys named, each of which has to count. Raises ``signer-not-allowed``."""
    keyring = Keyring(invocation.home)
    counted = {key for need in proposal.needs() for key in need.keys.keys}
    if proposal.parent is not None:
        counted.update(proposal.parent.recovery.keys)
    kids = [keyring.find(text).kid for text in chosen]
    for kid in kids:
        if kid not in counted:
            raise Rejected("signer-not-allowed", f"{did_of(kid)} is no root or recovery key that counts here")
    return kids


def _signed(invocation: Invocation, proposal: Proposal, kids: Sequence[Kid]) -> Proposal:
    added = endorsed(proposal.policy, proposal.parent, unlock_keys(Keyring(invocation.home), kids))
    return replace(proposal, endorsements={**proposal.endorsements, **added.endorsements})


def _require_timely(invocation: Invocation, client: Client, proposal: Proposal) -> None:
    """Raises ``policy-superseded`` where the parent is not in effect any more: sent now, it would be a rival.

    What the node knows already is no new rival, and a genesis has no parent.
    """
    policy = proposal.policy
    if policy.prev is None:
        return
    effective, _ = read_policy(invocation, client, policy.ns)
    if effective.id in (policy.prev, policy.id) or _is_known(client, policy.ns, policy.id):
        return
    detail = f"{effective.id} is in effect, and this one changes {policy.prev}: sent now, it would be its rival"
    raise Rejected("policy-superseded", detail, subject=policy.ns)


def _is_known(client: Client, ns: str, policy: Cid) -> bool:
    try:
        client.policy(ns, policy=policy)
    except HoloError as error:
        if error.code != "not-found":
            raise
        return False
    return True
