"""Certificates: roots that are functions of the key, and leaves that are what they say or are refused."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from holo.core.errors import Rejected
from holo.core.keys import KID_PREFIX, SigningKey, did_of, kid_of
from holo.core.limits import LEAF_BYTES, LEAF_S_MAX
from holo.net.certificate import anchor, make_leaf, open_leaf, root_certificate

A, B = SigningKey(b"a" * 32), SigningKey(b"b" * 32)
LEAF_KEY = Ed25519PrivateKey.from_private_bytes(b"l" * 32)
NOW_MS = 1_700_000_000_000
URI, NAME = x509.UniformResourceIdentifier, x509.SubjectAlternativeName


def test_a_root_is_a_function_of_the_key_and_an_anchor_of_its_public_half() -> None:
    root, pinned = root_certificate(A), anchor(A.kid)
    assert root == root_certificate(SigningKey(b"a" * 32))
    one, two = x509.load_der_x509_certificate(root), x509.load_der_x509_certificate(pinned)
    assert one.tbs_certificate_bytes == two.tbs_certificate_bytes
    public = one.public_key()
    assert isinstance(public, Ed25519PublicKey)
    assert public.public_bytes_raw() == A.kid[2:]
    public.verify(one.signature, one.tbs_certificate_bytes)
    assert one.signature != two.signature


def test_a_leaf_counts_between_its_times() -> None:
    leaf = make_leaf(A, LEAF_KEY, 7, NOW_MS, NOW_MS + 60_000)
    assert leaf == make_leaf(A, LEAF_KEY, 7, NOW_MS, NOW_MS + 60_000)
    for now_ms in (NOW_MS, NOW_MS + 60_000):
        assert open_leaf(leaf, now_ms) == A.kid
    for now_ms in (NOW_MS - 1, NOW_MS + 61_000):
        with pytest.raises(Rejected):
            open_leaf(leaf, now_ms)


Build = Callable[[], bytes]


def built(
    *,
    signer: Any = A,
    issuer: SigningKey = A,
    names: list[x509.GeneralName] | None = None,
    days: float = 1,
    ca: bool | None = False,
) -> bytes:
    """A leaf of A but for what is said otherwise."""
    now = datetime.datetime.fromtimestamp(NOW_MS / 1000, datetime.UTC)
    subject = x509.load_der_x509_certificate(anchor(issuer.kid)).subject
    builder = x509.CertificateBuilder(
        subject, x509.Name([]), LEAF_KEY.public_key(), 7, now, now + datetime.timedelta(days=days)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if names is None:
        names = [URI(did_of(A.kid))]
    if names:
        builder = builder.add_extension(NAME(names), critical=True)
    if isinstance(signer, SigningKey):
        return builder.sign(Ed25519PrivateKey.from_private_bytes(signer.seed), None).public_bytes(Encoding.DER)
    return builder.sign(signer, SHA256()).public_bytes(Encoding.DER)


def test_the_builder_of_these_tests_builds_good_ones() -> None:
    assert open_leaf(built(), NOW_MS) == A.kid


@pytest.mark.parametrize(
    "leaf",
    [
        built(signer=B),
        built(signer=B, issuer=B),
        built(issuer=B),
        built(signer=ec.derive_private_key(7, ec.SECP256R1())),
        built(names=[]),
        built(names=[URI(did_of(A.kid)), URI(did_of(A.kid))]),
        built(names=[URI(did_of(A.kid)), x509.DNSName("a.example")]),
        built(names=[x509.DNSName(did_of(A.kid).replace(":", "."))]),
        built(names=[URI("https://a.example")]),
        built(names=[URI(did_of(A.kid) + "#x")]),
        built(ca=True),
        built(ca=None),
        built(days=LEAF_S_MAX / 86_400 + 0.1),
        root_certificate(A),
        anchor(A.kid),
        built().replace(b"\x02\x01\x07", b"\x02\x01\x00", 1),  # of which the parser only warns
        built()[:-1],
        built() + b"\0",
        b"",
        b"\x30\x80",
        bytes(LEAF_BYTES + 1),
    ],
)
def test_what_is_not_a_leaf_by_the_node_it_names(leaf: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        open_leaf(leaf, NOW_MS)
    assert caught.value.code == "leaf-invalid"


def test_anchors_can_be_made_for_whatever_counts_as_a_key() -> None:
    """Also for 32 bytes that are no point of the curve, with which nobody can sign."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for number in range(2, 40):
        context.load_verify_locations(cadata=anchor(kid_of(KID_PREFIX + bytes([number]) + bytes(31))))
    assert len(context.get_ca_certs(binary_form=True)) == 38
