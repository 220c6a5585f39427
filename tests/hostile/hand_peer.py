"""A peer whose every word is chosen by a test: it has a key, a log of its own and links, and no rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from holo.core.announcements import Bye, Heads, Hello, ShownHead
from holo.core.cid import Cid
from holo.core.keys import Kid
from holo.core.messages import (
    Message,
    Objects,
    Proof,
    Question,
    Range,
    Records,
    Want,
    WantProof,
    WantRange,
    WantRecords,
    decode_message,
    encode_message,
)
from holo.net.link import Link, LinkClosed
from tests.roles.gossip.scene import Peer, Scene
from tests.signing_node import SigningNode


@dataclass
class HandPeer:
    """``objects`` and what ``answer`` says are all it gives; every head it shows is said again as a sign of life."""

    scene: Scene
    signing: SigningNode
    objects: dict[Cid, bytes] = field(default_factory=dict)
    heard: list[Message] = field(default_factory=list)
    asked: list[Question] = field(default_factory=list)
    proof: Callable[[WantProof], tuple[bytes, ...] | None] | None = None
    ended: str | None = None

    @property
    def kid(self) -> Kid:
        return self.signing.key.kid

    async def link(self, target: Peer, hello: Hello | bytes | None = None) -> Link:
        """A link to ``target``, on which both have said hello; what it says from then on is heard and answered."""
        endpoint = self.scene.wire.endpoint(self.kid, pins=lambda: ())
        link = await endpoint.connect(target.kid, target.endpoint.addresses[0])
        said = hello if hello is not None else Hello("hand/1", (), self.signing.log.genesis.id)
        await link.send(said if isinstance(said, bytes) else encode_message(said))
        self.ended = None
        self.scene.nursery.start_soon(self._listen, link)
        return link

    async def show(self, link: Link, seq: int, since: int = 0, proof: tuple[bytes, ...] | None = None) -> None:
        """Show one of its heads, with the proof that goes with it, or with another."""
        note = self.signing.note(seq, since)
        shown = ShownHead(note.head, note.genesis, note.since, note.proof if proof is None else proof)
        await self.say(link, Heads((shown,)))

    async def say(self, link: Link, message: Message) -> None:
        """Send one message."""
        await link.send(encode_message(message))

    async def until_ended(self) -> str:
        """The code with which the other end closed the link."""
        with trio.fail_after(120):
            while self.ended is None:  # noqa: ASYNC110 - virtual time
                await trio.sleep(0.05)
        return self.ended

    async def _listen(self, link: Link) -> None:
        try:
            while True:
                message = decode_message(await link.receive())
                self.heard.append(message)
                if isinstance(message, Bye):
                    self.ended = message.code
                elif isinstance(message, Want | WantRecords | WantRange | WantProof):
                    self.asked.append(message)
                    await self.reply(link, message)
        except LinkClosed as error:
            self.ended = self.ended or error.code

    async def reply(self, link: Link, question: Question) -> None:
        """Answer a question that came."""
        await self.say(link, self.answer_to(question))

    def answer_to(self, question: Question) -> Message:
        """What it says to a question."""
        match question:
            case Want(id, cids):
                return Objects(id, tuple(self.objects.get(cid) for cid in cids))
            case WantRecords(id, statements):
                return Records(id, (None,) * len(statements))
            case WantRange(id):
                return Range(id, (), None)
            case WantProof(id):
                return Proof(id, None if self.proof is None else self.proof(question))
        raise AssertionError


def add_hand(scene: Scene, name: str, *targets: Peer) -> HandPeer:
    """A peer by hand that these nodes pin, at an address where nobody answers."""
    hand = HandPeer(scene, SigningNode(name))
    for target in targets:
        target.pins.pin(hand.kid, f"{name}:1")
    return hand
