"""Policies as people write them (``KEY=HANDLES:TAGS`` a signer, ``TAGS=COUNT`` a threshold), and what changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from holo.cli.invocation import fields
from holo.core import keys, names
from holo.core.errors import HoloError
from holo.core.keys import Kid
from holo.core.policy import KeySet, Policy, Signer, Threshold
from holo.store.keyring import Keyring

SIGNER_HELP = "KEY[=HANDLES[:TAGS]]; globs, separated by commas; * where none are given."


def parse_key(keyring: Keyring, text: str) -> Kid:
    """The kid that ``text``, a did:key or the name of a key here, means."""
    return keys.parse_did(text) if text.startswith("did:") else keyring.find(text).kid


def parse_signer(keyring: Keyring, text: str) -> Signer:
    """The signers entry that ``KEY[=HANDLES[:TAGS]]`` means."""
    who, _, what = text.partition("=")
    handles, _, tags = what.partition(":")
    return Signer(parse_key(keyring, who), _globs(handles or "*", text), _globs(tags or "*", text))


def parse_threshold(text: str) -> Threshold:
    """The thresholds entry that ``TAGS=COUNT`` means."""
    tags, equals, count = text.rpartition("=")
    if not equals or not count.isdecimal() or int(count) < 1:
        raise click.BadParameter(f"{text!r} is not TAGS=COUNT, such as stable=2", param_hint="--require")
    return Threshold(_globs(tags, text), int(count))


def parse_key_set(keyring: Keyring, texts: Sequence[str], threshold: int | None, before: KeySet | None) -> KeySet:
    """The keys given, or those before; the threshold given, else that before, else 1."""
    found = tuple(parse_key(keyring, text) for text in texts) or (before.keys if before else ())
    wanted = threshold or (before.threshold if before else 1)
    if wanted > len(found):
        raise click.UsageError(f"A threshold of {wanted} needs as many keys; there are {len(found)}.")
    return KeySet(found, wanted)


def owner_of(keyring: Keyring) -> dict[Kid, str]:
    """The local names of the keys here."""
    return {entry.kid: entry.name for entry in keyring.entries()}


def describe(policy: Policy, local: dict[Kid, str]) -> list[str]:
    """A policy for people, keys with their local names."""
    pairs: list[tuple[str, object]] = [
        ("namespace", policy.ns),
        ("policy", policy.id),
        ("seq", policy.seq),
        ("prev", policy.prev),
        ("seal", policy.seal),
    ]
    pairs += [(f"root ({policy.roots.threshold} needed)", known(kid, local)) for kid in policy.roots.keys]
    pairs += [(f"recovery ({policy.recovery.threshold} needed)", known(kid, local)) for kid in policy.recovery.keys]
    pairs += [("signer", _signer(signer, local)) for signer in policy.signers]
    pairs += [("needs", _threshold(item)) for item in policy.thresholds]
    return [*fields(pairs), *unmet_thresholds(policy)]


def differences(before: Policy, after: Policy, local: dict[Kid, str]) -> list[str]:
    """What ``after`` changes, one line each, ``+`` and ``-``."""
    lines: list[str] = []
    for what, old, new in (("root", before.roots, after.roots), ("recovery", before.recovery, after.recovery)):
        lines += _marked(what, [known(kid, local) for kid in old.keys], [known(kid, local) for kid in new.keys])
        if old.threshold != new.threshold:
            lines.append(f"~ {what} keys needed: {old.threshold} -> {new.threshold}")
    lines += _marked(
        "signer", [_signer(item, local) for item in before.signers], [_signer(item, local) for item in after.signers]
    )
    lines += _marked(
        "needs", [_threshold(item) for item in before.thresholds], [_threshold(i) for i in after.thresholds]
    )
    return lines


def unmet_thresholds(policy: Policy) -> list[str]:
    """What nobody could publish under ``policy``, one line each: its signers are fewer than it demands."""
    if not policy.signers:
        return ["! nobody is left who may sign a name"]
    have = len({signer.key for signer in policy.signers})
    return [
        f"! {','.join(item.tags)} needs {item.count} signers and the policy lists {have}: nothing new can be published"
        for item in policy.thresholds
        if item.count > have
    ]


def view(policy: Policy) -> dict[str, Any]:
    """A policy as JSON."""
    return {
        "ns": policy.ns,
        "policy": str(policy.id),
        "seq": policy.seq,
        "prev": str(policy.prev) if policy.prev else None,
        "seal": str(policy.seal) if policy.seal else None,
        "roots": _key_set_view(policy.roots),
        "recovery": _key_set_view(policy.recovery),
        "signers": [
            {"key": keys.did_of(item.key), "handles": list(item.handles), "tags": list(item.tags)}
            for item in policy.signers
        ],
        "thresholds": [{"tags": list(item.tags), "count": item.count} for item in policy.thresholds],
    }


def _key_set_view(found: KeySet) -> dict[str, Any]:
    return {"keys": [keys.did_of(kid) for kid in found.keys], "threshold": found.threshold}


def _marked(what: str, before: Iterable[str], after: Iterable[str]) -> list[str]:
    old, new = list(before), list(after)
    lines = [f"- {what} {item}" for item in old if item not in new]
    return lines + [f"+ {what} {item}" for item in new if item not in old]


def _signer(signer: Signer, local: dict[Kid, str]) -> str:
    return f"{known(signer.key, local)} for {','.join(signer.handles)}:{','.join(signer.tags)}"


def _threshold(item: Threshold) -> str:
    return f"{item.count} signers for {','.join(item.tags)}"


def known(kid: Kid, local: dict[Kid, str]) -> str:
    """A key, with its local name where it has one."""
    did = keys.did_of(kid)
    return f"{local[kid]} {did}" if kid in local else did


def _globs(text: str, whole: str) -> tuple[str, ...]:
    found = tuple(text.split(","))
    for glob in found:
        try:
            names.check_glob(glob)
        except HoloError as error:
            raise click.UsageError(f"{whole!r}: {error.detail} is no glob: {error.fix}") from None
    return found
