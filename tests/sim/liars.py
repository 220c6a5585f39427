"""Peers that lie. They hold keys that honest nodes have pinned, speak the protocol by hand, and keep to no rule of it.

Each has a log and a catalog of its own making, answers what it likes, and does one kind of harm on every link it has.
What no honest node may ever hold or believe of what they say goes into `Harm`.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

import trio

from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.envelope import Record, make_statement
from holo.core.errors import Rejected
from holo.core.head import make_head, make_log_genesis, open_head, sign
from holo.core.keys import Kid, SigningKey
from holo.core.limits import FRAME_BYTES
from holo.core.log import EMPTY_ROOT
from holo.core.messages import (
    Bye,
    Carried,
    Heads,
    Hello,
    Message,
    Objects,
    Proof,
    Push,
    Range,
    Records,
    ShownEvidence,
    ShownHead,
    Want,
    WantProof,
    WantRange,
    WantRecords,
    carry,
    decode_message,
    encode_message,
)
from holo.core.policy import parse_policy
from holo.net.link import Link, LinkClosed
from tests.records import AT_MS, EVERYTHING, binding_record, content, kid, policy_record
from tests.sim.network import Endpoint
from tests.world import Namespace
from tests.world import Node as Catalogs

_AGAIN_S: Final = 5.0  # between two attempts at a link
_KEPT: Final = 256


@dataclass
class Harm:
    """What the lies of a run amount to."""

    forbidden: set[Cid] = field(default_factory=set)  # statements no honest node may hold
    two_faced: dict[Kid, dict[int, set[Kid]]] = field(default_factory=dict)  # liar → face → who saw it
    done: int = 0

    def show(self, liar: Kid, face: int, peer: Kid) -> None:
        """A liar has shown one of its two heads to a peer."""
        self.two_faced.setdefault(liar, {}).setdefault(face, set()).add(peer)


class Liar:
    """A lying peer: `run` makes links to its neighbours, takes theirs, and does on each what its kind does."""

    def __init__(
        self,
        kind: str,
        endpoint: Endpoint,
        own: SigningKey,
        peers: Sequence[tuple[Kid, str]],
        geneses: dict[str, Record],
        rng: random.Random,
        harm: Harm,
    ) -> None:
        self._harm_of = harm
        self._endpoint = endpoint
        self._key = own
        self._peers = peers
        self._geneses = geneses
        self._rng = rng
        self._overheard: list[bytes] = []
        self._heads: list[ShownHead] = []
        self._theirs: list[ShownHead] = []
        self._log = make_log_genesis(node=own.kid, nonce=rng.randbytes(16))
        self._catalogs = Catalogs([Namespace("liars", signers={"alice": EVERYTHING})], name=kind)
        self._catalogs.take_head()
        self._act: Callable[[Link], Awaitable[None]] = getattr(self, f"_{kind}")
        self._honest_answers = kind not in ("withholder", "endless")
        self._make_heads()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._endpoint.serve, self._talk)
            for peer, address in self._peers:
                nursery.start_soon(self._keep_dialling, peer, address)
            task_status.started()

    async def _keep_dialling(self, peer: Kid, address: str) -> None:
        while True:
            with suppress(LinkClosed):
                await self._talk(await self._endpoint.connect(peer, address))
            await trio.sleep(_AGAIN_S * (0.5 + self._rng.random()))

    async def _talk(self, link: Link) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._answer, link)
                await self._say(link, Hello("liar/1", (), self._log.id))
                await self._say(link, Heads((self._face(link.peer),)))
                while True:
                    await self._act(link)
                    self._harm_of.done += 1
                    await trio.sleep(self._rng.uniform(0.5, 10.0))
        except* LinkClosed:
            pass
        finally:
            with trio.CancelScope(shield=True):
                await link.aclose()

    async def _say(self, link: Link, message: Message) -> None:
        await link.send(encode_message(message))

    # --- what an honest peer does, more or less

    async def _answer(self, link: Link) -> None:
        while True:
            frame = await link.receive()
            self._overhear(frame)
            try:
                message = decode_message(frame)
            except Rejected:
                continue
            if isinstance(message, Bye):
                await link.aclose()
            elif isinstance(message, Heads):
                self._theirs = [*self._theirs, *message.items][-_KEPT:]
            answer = self._answer_to(message)
            if answer is not None:
                await self._say(link, answer)

    def _answer_to(self, message: Message) -> Message | None:
        """What it holds; a withholder has nothing of what its own head commits to, or says nothing at all."""
        if isinstance(message, Want):
            held = self._catalogs.objects
            found = (held.get(cid) if self._honest_answers else None for cid in message.cids)
            return Objects(message.id, tuple(found)) if self._honest_answers or self._rng.random() < 0.5 else None
        if isinstance(message, WantRecords):
            return Records(message.id, (None,) * len(message.statements))
        if isinstance(message, WantRange):
            following = None if self._honest_answers else (0, f"a{self._rng.randrange(10**9):09}/x")
            return Range(message.id, (), following)
        if isinstance(message, WantProof):
            return Proof(message.id, None)
        return None

    def _overhear(self, frame: bytes) -> None:
        if len(self._overheard) < _KEPT:
            self._overheard.append(frame)
        else:
            self._overheard[self._rng.randrange(_KEPT)] = frame

    def _face(self, peer: Kid) -> ShownHead:
        """The head it shows a peer: the same to all, unless it is two-faced."""
        return self._heads[0]

    def _make_heads(self) -> None:
        """Two heads of one seq, of which an honest node would sign one."""
        genesis = sign(self._log, self._key)
        catalog = self._catalogs.newest.catalog
        for at_ms in (AT_MS, AT_MS + 1):
            head = make_head(
                log=self._log.id, seq=0, prev=None, catalog=catalog, log_size=0, log_root=EMPTY_ROOT, at_ms=at_ms
            )
            self._heads.append(ShownHead(sign(head, self._key), genesis, 0, ()))

    # --- harm

    async def _splitter(self, link: Link) -> None:
        """One head to some, another to the rest."""
        face = link.peer[-1] % 2
        await self._say(link, Heads((self._heads[face],)))
        self._harm_of.show(self._key.kid, face, link.peer)

    async def _withholder(self, link: Link) -> None:
        """A head over what it never gives."""
        self._heads[0] = self._next_head(Cid.of(DAG_CBOR, self._rng.randbytes(8)))
        await self._say(link, Heads((self._heads[0],)))

    async def _forger(self, link: Link) -> None:
        """Records that nobody may write, signatures that are none, evidence and heads against the innocent."""
        ns = self._rng.choice(sorted(self._geneses))
        forge = self._rng.choice([self._stranger, self._unsigned, self._usurper, self._other_genesis])
        record = forge(ns)
        self._harm_of.forbidden.add(record.statement.id)
        await self._say(link, Push((carry(record),)))
        if self._theirs:
            shown = self._rng.choice(self._theirs)
            await self._say(link, Heads((self._heads[0], replace(shown, head=_spoiled(shown.head, self._rng)))))
            value = {
                "v": 1,
                "type": "equivocation",
                "kind": "heads",
                "node": bytes(self._rng.choice(self._peers)[0]),
                "one": shown.head,
                "other": _spoiled(shown.head, self._rng),
            }
            await self._say(link, ShownEvidence((make_statement(value).bytes,)))

    async def _replayer(self, link: Link) -> None:
        """What others said, again and elsewhere."""
        for frame in self._rng.sample(self._overheard, min(20, len(self._overheard))):
            await link.send(frame)

    async def _flooder(self, link: Link) -> None:
        """More than anybody asked for: new namespaces and names in them, all of them valid."""
        number = self._rng.randrange(20)
        genesis = policy_record(f"flood{number}", signers={"mallory": EVERYTHING})
        policy = parse_policy(genesis.statement)
        records = [carry(genesis)]
        for at in range(self._rng.randint(1, 30)):
            name = f"{policy.ns}/n{at}:x"
            records.append(carry(binding_record(policy.id, policy.id, name, content(name), by=("mallory",))))
        for _ in range(self._rng.randint(1, 3)):
            await self._say(link, Push(tuple(records)))

    async def _garbler(self, link: Link) -> None:
        """Frames that mean nothing, or nothing here."""
        rng = self._rng
        frame = rng.choice(self._overheard) if self._overheard else b""
        await link.send(
            rng.choice(
                [
                    rng.randbytes(rng.randint(0, 200)),
                    frame[: rng.randint(0, len(frame))],
                    _spoiled(frame, rng),
                    frame[: FRAME_BYTES - 1] + b"\0",
                    encode_message(Objects(rng.randrange(4), (None,))),
                    encode_message(Hello("liar/2", (), self._log.id)),
                    b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
                    b"\x81" * 2000,
                ]
            )
        )

    async def _endless(self, link: Link) -> None:
        """The largest frames there are, one after the other, and questions without end."""
        rng = self._rng
        await self._say(link, Want(rng.randrange(2**32), _cids(rng)))
        for _ in range(rng.randint(1, 4)):
            await link.send(rng.randbytes(1) * FRAME_BYTES if rng.random() < 0.1 else self._large(rng))

    def _large(self, rng: random.Random) -> bytes:
        junk = Carried("binding", rng.randbytes(8000), ((kid("mallory"), bytes(64)),))
        return encode_message(Push((junk,) * 100))

    def _next_head(self, catalog: Cid) -> ShownHead:
        """A head that follows the one it showed last, over whatever catalog."""
        before = open_head(self._heads[0].head)
        head = make_head(
            log=before.log,
            seq=before.seq + 1,
            prev=before.id,
            catalog=catalog,
            log_size=0,
            log_root=EMPTY_ROOT,
            at_ms=before.at_ms + 1,
        )
        return replace(self._heads[0], head=sign(head, self._key))

    # --- forgeries

    def _stranger(self, ns: str) -> Record:
        """A binding by somebody whom no policy names."""
        genesis = self._geneses[ns].statement.id
        text = f"forged {self._rng.random()}"
        return binding_record(genesis, genesis, f"{ns}/app:dev", content(text), rev=9000, by=("mallory",))

    def _unsigned(self, ns: str) -> Record:
        """A binding with a signer's name under it, and not their signature."""
        genesis = self._geneses[ns].statement.id
        text = f"unsigned {self._rng.random()}"
        made = binding_record(genesis, genesis, f"{ns}/app:dev", content(text), rev=9001, by=("mallory",))
        (signature,) = made.endorsements.values()
        return Record(made.statement, {kid("alice"): signature})

    def _usurper(self, ns: str) -> Record:
        """The next policy, signed by those it names itself."""
        genesis = parse_policy(self._geneses[ns].statement)
        who = f"usurper {self._rng.randrange(1000)}"
        return policy_record(ns, genesis, roots=(who,), signers={who: EVERYTHING}, by=(who,))

    def _other_genesis(self, ns: str) -> Record:
        """Another namespace of the same name."""
        who = f"pretender {self._rng.randrange(1000)}"
        return policy_record(ns, roots=(who,), signers={who: EVERYTHING}, by=(who,))


def _spoiled(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return b"\0"
    at = rng.randrange(len(data))
    return data[:at] + bytes((data[at] ^ (1 << rng.randrange(8)),)) + data[at + 1 :]


def _cids(rng: random.Random) -> tuple[Cid, ...]:
    return tuple(Cid.of(RAW, rng.randbytes(8)) for _ in range(200))
