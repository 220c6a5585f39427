"""One link to a peer: saying, asking, and sorting what comes in.

A reader that never waits for anything but the link is what keeps two ends that both have much to say from waiting for
each other for ever. So all that comes is put where another task takes it from, in boxes that hold a bounded amount:
answers where they were asked for, questions up to a number that no honest peer reaches, pushes and news as long as
there is room. What finds no room is dropped, and found again by pulling.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, NoReturn, TypeVar

import trio

from holo.core import limits
from holo.core.cid import Cid
from holo.core.errors import Rejected
from holo.core.keys import Kid
from holo.core.messages import (
    Answer,
    Bye,
    Converged,
    Heads,
    Hello,
    Message,
    Objects,
    Proof,
    Push,
    Question,
    Range,
    Records,
    ShownEvidence,
    Want,
    WantProof,
    WantRange,
    WantRecords,
    decode_message,
    encode_message,
)
from holo.core.peer_receipts import Agreed
from holo.net.link import Link, LinkClosed
from holo.roles.gossip.door import RunSync
from holo.roles.gossip.state import Tally

_DECODED_INLINE_BYTES: Final = 32 * 1024
_PARTING_S: Final = 1.0

News = Heads | ShownEvidence | Converged
_Message = TypeVar("_Message")
_Answer = TypeVar("_Answer", Objects, Records, Range, Proof)
_QUESTIONS = (Want, WantRecords, WantRange, WantProof)
_ANSWERS = (Objects, Records, Range, Proof)


class Fault(Exception):
    """The peer broke the protocol: ``error`` says how. The link is closed, and whoever dials waits longer."""

    def __init__(self, error: Rejected) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def faults() -> Iterator[None]:
    """What is rejected inside the block is the peer's fault."""
    try:
        yield
    except Rejected as error:
        raise Fault(error) from None


class Box(Generic[_Message]):
    """What came of one kind and waits to be taken, bounded in bytes and in number."""

    def __init__(self, items: int, size_bytes: int) -> None:
        self._most = items
        self._room_bytes = size_bytes
        self._held: deque[tuple[_Message, int]] = deque()
        self._filled = trio.Event()

    def put(self, message: _Message, size_bytes: int) -> bool:
        """Whether there was room."""
        if len(self._held) >= self._most or size_bytes > self._room_bytes:
            return False
        self._room_bytes -= size_bytes
        self._held.append((message, size_bytes))
        self._filled.set()
        return True

    async def take(self) -> _Message:
        """The first of what waits, once anything does."""
        while not self._held:
            self._filled = trio.Event()
            await self._filled.wait()
        message, size_bytes = self._held.popleft()
        self._room_bytes += size_bytes
        return message


class Patience:
    """How long a peer's answers may take, all together: who always gives a little would be waited for without end.

    So many seconds, and some of every second are added again; an answer of some size has time of its own.
    """

    def __init__(self, now_s: float) -> None:
        self._left_s = limits.WAITED_S
        self._seen_s = now_s

    def wait(self, waited_s: float, answer_bytes: int, now_s: float) -> bool:
        """Count an answer; whether there is some patience left."""
        back_s = (now_s - self._seen_s) * limits.WAITED_BACK
        self._left_s = min(limits.WAITED_S, self._left_s + back_s)
        self._seen_s = now_s
        self._left_s -= max(0.0, waited_s - answer_bytes / limits.SLOWEST_ANSWERS_BYTES_PER_S)
        return self._left_s > 0


class _Asked:
    def __init__(self, kind: type[Answer]) -> None:
        self.kind = kind
        self.done = trio.Event()
        self.answer: Answer | None = None
        self.size_bytes = 0


class Session:
    """A link on which both sides have said hello."""

    def __init__(self, link: Link, hello: Hello, tally: Tally, run_sync: RunSync, thread: trio.CapacityLimiter) -> None:
        self.link = link
        self.hello = hello
        self.questions = Box[Question](limits.QUESTIONS_WAITING, limits.FRAME_BYTES)
        self.pushes = Box[Push](limits.PUSHES_WAITING, limits.PUSHES_WAITING_BYTES)
        self.news = Box[News](limits.NEWS_WAITING, limits.FRAME_BYTES)
        self.sent_bytes = 0
        self.received_bytes = 0
        self.sent_records = 0
        self.received_records = 0
        self.refused = 0
        self.loading_until_s = -math.inf  # the peer has asked for whole namespaces just now
        self.promised = 0  # states, of those there are the next to promise
        self.promise: bytes | None = None  # the last
        self.compared: tuple[Cid | None, list[Agreed]] = None, []  # what a catalog of the peer has of what is here
        self.closing = ("closed", "")  # why this end does
        self.scope = trio.CancelScope()
        self._tally = tally
        self._run_sync = run_sync
        self._thread = thread
        self._saying = trio.Lock()
        self._asked: dict[int, _Asked] = {}
        self._next_id = 0
        self._patience = Patience(trio.current_time())

    @property
    def peer(self) -> Kid:
        """Whose root key the other end proved it has."""
        return self.link.peer

    async def say(self, message: Message) -> None:
        """Send one message after those that wait already. Raises LinkClosed, also where the peer does not take it."""
        frame = encode_message(message)
        async with self._saying:
            await send(self.link, frame)
        self.sent_bytes += len(frame)
        self._tally.bytes_out += len(frame)
        self._tally.messages_out[message.KIND] += 1

    async def ask(self, make: Callable[[int], Question], kind: type[_Answer]) -> _Answer:
        """The answer, of ``kind``, to the question that ``make`` makes of an id. Raises LinkClosed."""
        id = self._next_id
        self._next_id = (id + 1) % 2**32
        asked = self._asked[id] = _Asked(kind)
        try:
            await self.say(make(id))
            began_s = trio.current_time()
            with trio.move_on_after(limits.ANSWER_S):
                await asked.done.wait()
        finally:
            del self._asked[id]
        if asked.answer is None:
            raise LinkClosed("timeout", f"no answer within {limits.ANSWER_S:.0f} s")
        now_s = trio.current_time()
        if not self._patience.wait(now_s - began_s, asked.size_bytes, now_s):
            raise LinkClosed("timeout", "it gives its answers too slowly")
        assert isinstance(asked.answer, kind)
        return asked.answer

    async def read(self) -> NoReturn:
        """Sort what comes in. Raises LinkClosed at the end, or :class:`Fault`."""
        while True:
            frame = await receive(self.link, limits.SILENCE_S)
            self.received_bytes += len(frame)
            self._tally.bytes_in += len(frame)
            with faults():
                message = await self._decode(frame)
                self._tally.messages_in[message.KIND] += 1
                self._sort(message, len(frame))

    async def _decode(self, frame: bytes) -> Message:
        if len(frame) <= _DECODED_INLINE_BYTES:
            return decode_message(frame)
        message: Message = await self._run_sync(decode_message, frame, limiter=self._thread)
        return message

    def _sort(self, message: Message, size_bytes: int) -> None:
        if isinstance(message, _ANSWERS):
            asked = self._asked.get(message.id)
            if asked is None or asked.done.is_set() or not isinstance(message, asked.kind):
                raise Rejected("message-unexpected", f"{message.KIND} {message.id} answers nothing that was asked")
            asked.answer = message
            asked.size_bytes = size_bytes
            asked.done.set()
        elif isinstance(message, _QUESTIONS):
            if not self.questions.put(message, size_bytes):
                raise Rejected("message-unexpected", "more questions than one end asks at once")
        elif isinstance(message, Push):
            if not self.pushes.put(message, size_bytes):
                self._tally.dropped["queue"] += len(message.records)
        elif isinstance(message, Heads | ShownEvidence | Converged):
            if not self.news.put(message, size_bytes):
                self._tally.dropped["queue"] += 1
        elif isinstance(message, Bye):
            raise LinkClosed(message.code, message.detail)
        else:
            raise Rejected("message-unexpected", f"{message.KIND} after hello")

    def close(self, code: str, detail: str) -> None:
        """Have this end close the link, whatever is going on on it."""
        self.closing = code, detail
        self.scope.cancel()


async def part(link: Link, code: str, detail: str = "") -> None:
    """Say why this end closes, if the peer takes it, and close."""
    with trio.move_on_after(_PARTING_S, shield=True):
        with contextlib.suppress(LinkClosed):
            await link.send(encode_message(Bye(code, detail)))
    with trio.move_on_after(_PARTING_S, shield=True):
        await link.aclose()


async def exchange_hellos(link: Link, own: Hello) -> Hello:
    """Say hello and hear the peer's. Raises LinkClosed or :class:`Fault`."""
    await send(link, encode_message(own))
    frame = await receive(link, limits.HELLO_S)
    with faults():
        message = decode_message(frame)
        if isinstance(message, Bye):
            raise LinkClosed(message.code, message.detail)
        if not isinstance(message, Hello):
            raise Rejected("message-unexpected", f"{message.KIND} before hello")
    return message


async def send(link: Link, frame: bytes) -> None:
    """Send one frame. Raises LinkClosed, also where the peer does not take it in time."""
    with trio.move_on_after(limits.TAKE_S):
        await link.send(frame)
        return
    raise LinkClosed("timeout", f"the peer took nothing for {limits.TAKE_S:.0f} s")


async def receive(link: Link, within_s: float) -> bytes:
    """The next frame. Raises LinkClosed, also where none comes in time."""
    with trio.move_on_after(within_s):
        return await link.receive()
    raise LinkClosed("timeout", f"nothing came for {within_s:.0f} s")
