"""Records a careful program would never send, each signed by somebody real, so that the refusal leaves a receipt."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from holo.client import Client, Connection, Endpoint, NodeRefused
from holo.core import keys
from holo.core.binding import Binding
from holo.core.cid import Cid
from holo.core.draft import draft_binding
from holo.core.envelope import Record, endorse
from holo.core.keys import Kid, SigningKey
from holo.core.names import Name
from holo.core.receipt import open_denial_receipt
from holo.http.base64url import decode_base64url


@dataclass(frozen=True, slots=True)
class Target:
    """The name under attack as it stands, and two keys that may really sign it, in order of kid.

    A node reads endorsements in that order, so the first is proven before a spoiled second one is met.
    """

    name: Name
    genesis: Cid
    policy: Cid
    current: Cid
    rev: int
    cid: Cid
    signers: tuple[SigningKey, SigningKey]

    def record(self, *, rev: int, policy: Cid | None = None, spoil: bool = False) -> Record:
        """A record both sign; with ``spoil`` one bit of the second signature is wrong."""
        binding: Binding = draft_binding(
            self.name,
            genesis=self.genesis,
            policy=policy or self.policy,
            rev=rev,
            prev=(self.current,),
            cid=self.cid,
            at_ms=time.time_ns() // 1_000_000,
        )
        first, second = self.signers
        signature = endorse(binding.statement, second)
        if spoil:
            signature = bytes((signature[0] ^ 1,)) + signature[1:]
        return Record(binding.statement, {first.kid: endorse(binding.statement, first), second.kid: signature})


def refusal(url: str, node: Kid, target: Target, record: Record) -> dict[str, Any]:
    """The problem that ``record`` is answered with; {} if the node takes it."""
    with Client(Connection([Endpoint(url, node)])) as client:
        try:
            client.post_record(target.name.namespace, record.envelopes())
        except NodeRefused as refused:
            return refused.problem
    return {}


def check_denial(
    problem: dict[str, Any], code: str, node: Kid, requester: Kid | None, fail: Callable[[str], None]
) -> str:
    """The id of the denial receipt in ``problem``, once it proves that ``node`` refused ``requester`` for ``code``."""
    if problem.get("code") != code or not problem.get("denial_cose"):
        fail(f"expected a denial for {code}, got {problem}")
    receipt = open_denial_receipt(decode_base64url(problem["denial_cose"], 1 << 16, at="denial_cose"))
    if receipt.signer != node or receipt.code != code or str(receipt.id) != problem["denial"]:
        fail(f"{receipt.id} does not prove the refusal")
    if requester is not None and receipt.requester != requester:
        fail(f"the denial is about {keys.did_of(receipt.requester)}")
    return str(receipt.id)
