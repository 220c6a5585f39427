"""A node that signs two truths: it shows one peer one head of its log, and another peer another."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import trio

from holo.cli.demo.stage import DemoFailed
from holo.core.announcements import Heads, Hello, ShownHead
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import Statement
from holo.core.head import make_head, make_log_genesis, sign
from holo.core.keys import Kid, SigningKey
from holo.core.log import EMPTY_ROOT
from holo.core.messages import Want, decode_message, encode_message
from holo.net.link import LinkClosed
from holo.net.network import TlsNetwork
from holo.net.pins import Pins
from holo.store.home import Home
from holo.store.peers_file import PeersFile

_PATIENCE_S = 20.0


def tell_two_truths(home: Home, key: SigningKey, peers: Sequence[tuple[Kid, str]]) -> None:
    """Link with each of two peers, at its address, and show each a first head of one log: not the same one."""
    trio.run(_tell, home, key, peers)


async def _tell(home: Home, key: SigningKey, peers: Sequence[tuple[Kid, str]]) -> None:
    pins = Pins(PeersFile(home), {kid: (address,) for kid, address in peers})
    network = TlsNetwork(key, pins, ("127.0.0.1", 0), clock_ms=_now_ms)
    genesis = make_log_genesis(node=key.kid, nonce=os.urandom(16))
    envelope = sign(genesis, key)
    with trio.move_on_after(_PATIENCE_S) as patience:
        for kid, address in peers:
            head = sign(_head(genesis.id), key)
            said = (Hello("liar/1", (), genesis.id), Heads((ShownHead(head, envelope, 0, ()),)))
            while not await _show(network, kid, address, said):  # noqa: ASYNC110 - it is in another process
                await trio.sleep(0.2)  # a running node takes a moment to know whom it pins
    if patience.cancelled_caught:
        raise DemoFailed("the peers do not listen to the liar")


async def _show(network: TlsNetwork, kid: Kid, address: str, said: Sequence[Hello | Heads]) -> bool:
    """Whether a peer listened: it has noted the head once it asks for what that commits to."""
    try:
        link = await network.connect(kid, address)
    except LinkClosed:
        return False
    try:
        for message in said:
            await link.send(encode_message(message))
        while not isinstance(decode_message(await link.receive()), Want):
            pass
    except LinkClosed:
        return False
    finally:
        await link.aclose()
    return True


def _head(log: Cid) -> Statement:
    """A first head; what it commits to is never shown to anybody."""
    catalog = Cid.of(DAG_CBOR, os.urandom(16))
    return make_head(log=log, seq=0, prev=None, catalog=catalog, log_size=0, log_root=EMPTY_ROOT, at_ms=_now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
