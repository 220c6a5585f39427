"""A node's identity on links: its leaf, renewed as it ages, and what TLS is set up with (spec 8.2; RFC 8446).

TLS 1.3 alone, without tickets of its own, so that every link proves both keys anew. What OpenSSL checks here is not
enough by itself: given several anchors it takes a leaf by any of them, whatever node the leaf names. The last word has
:func:`holo.net.certificate.open_leaf`, and then the pin of the node named.
"""

from __future__ import annotations

import os
import secrets
import ssl
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from holo.core.keys import Kid, SigningKey
from holo.net.certificate import anchor, make_leaf

CONTROL: Final = "holo-cp/1"
TRANSFER: Final = "holo-tp/1"
PAIRING: Final = "holo-pair/1"

LEAF_S: Final = 24 * 3600
_SKEW_S: Final = 3600  # by which another machine's clock may be behind


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf in DER, its key, and for how long it counts."""

    der: bytes
    key: Ed25519PrivateKey
    not_before_ms: int
    not_after_ms: int


class Identity:
    """The key of a node, as links use it. Its leaf is a new one from half of its life on, for whoever comes then."""

    def __init__(self, key: SigningKey, clock_ms: Callable[[], int], *, leaf_s: int = LEAF_S) -> None:
        self._key = key
        self._clock_ms = clock_ms
        self._life_ms = leaf_s * 1000
        self._leaf: Leaf | None = None
        self._server: tuple[Leaf, frozenset[Kid], ssl.SSLContext] | None = None

    @property
    def kid(self) -> Kid:
        """The node."""
        return self._key.kid

    def now_ms(self) -> int:
        """The time by which leaves are judged."""
        return self._clock_ms()

    def leaf(self) -> Leaf:
        """The leaf to show now."""
        now_ms = self._clock_ms()
        if self._leaf is None or not self._leaf.not_before_ms <= now_ms < self._leaf.not_after_ms - self._life_ms // 2:
            key, begins, ends = Ed25519PrivateKey.generate(), now_ms - _SKEW_S * 1000, now_ms + self._life_ms
            serial = secrets.randbits(120) + 1
            self._leaf = Leaf(make_leaf(self._key, key, serial, begins, ends), key, begins, ends)
        return self._leaf

    def server_context(self, pinned: Collection[Kid]) -> ssl.SSLContext:
        """For taking links: of these nodes, and of whoever shows no certificate, which is good for pairing alone."""
        leaf, nodes = self.leaf(), frozenset(pinned)
        if self._server is None or self._server[:2] != (leaf, nodes):
            context = _context(ssl.PROTOCOL_TLS_SERVER, nodes)
            context.verify_mode = ssl.CERT_OPTIONAL
            context.num_tickets = 0
            context.set_alpn_protocols([CONTROL, TRANSFER, PAIRING])
            _load(context, leaf)
            self._server = leaf, nodes, context
        return self._server[2]

    def client_context(self, peer: Kid, protocol: str) -> ssl.SSLContext:
        """For dialling ``peer`` and nobody else; only for pairing this node keeps its certificate to itself."""
        context = _context(ssl.PROTOCOL_TLS_CLIENT, (peer,))
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols([protocol])
        if protocol != PAIRING:
            _load(context, self.leaf())
        return context


def _context(side: int, anchors: Collection[Kid]) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.check_hostname = False  # no host is named in a leaf: a node is its key, wherever it is
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_TICKET
    if anchors:
        context.load_verify_locations(cadata=b"".join(anchor(kid) for kid in sorted(anchors)))
    return context


def _load(context: ssl.SSLContext, leaf: Leaf) -> None:
    """Give ``context`` a leaf and its key, which the ssl module takes from files only.

    What is on the disk for a moment is encrypted, with a password that never is.
    """
    password = secrets.token_urlsafe(32)
    sealed = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode()))
    fd, path = tempfile.mkstemp(prefix="holo-leaf-")
    try:
        with open(fd, "wb") as file:
            file.write(ssl.DER_cert_to_PEM_cert(leaf.der).encode() + sealed)
        context.load_cert_chain(path, password=password)
    finally:
        os.unlink(path)
