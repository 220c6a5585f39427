"""Certificates for keys that are their own authority (spec 8.2; RFC 5280, RFC 8410).

A node's key is its root. The root certificate is a function of the key; of its body, what TLS needs to take a root for
an anchor, it is one of the public half alone, so that whoever knows a node's did:key can make the anchor. Leaves live
for hours, name the node in their one URI, and have keys of their own that never leave the process.
"""

from __future__ import annotations

import datetime
import functools
import warnings
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from holo.core import keys
from holo.core.errors import HoloError, Rejected
from holo.core.keys import Kid, SigningKey
from holo.core.limits import LEAF_BYTES, LEAF_S_MAX

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_FOREVER: Final = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)  # RFC 5280 section 4.1.2.5
_NO_KEY: Final = bytes(32)  # whose signature stands where nobody checks one
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.InvalidVersion,
)


def root_certificate(key: SigningKey) -> bytes:
    """The self-signed root of a node, in DER: the same for the same key."""
    return _root(key.kid, key.seed)


@functools.lru_cache(maxsize=2048)
def anchor(kid: Kid) -> bytes:
    """The root of the node ``kid``, in DER, as one to be trusted: what signs it is not the node, and does not matter.

    An anchor is a name and a key (RFC 5280 section 6.1.1): no verifier checks its signature, which is its own.
    """
    return _root(kid, _NO_KEY)


def _root(kid: Kid, seed: bytes) -> bytes:
    public = Ed25519PublicKey.from_public_bytes(kid[2:])
    name = _name(kid)
    builder = (
        x509.CertificateBuilder(name, name, public, 1, _EPOCH, _FOREVER)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.SubjectAlternativeName([_uri(kid)]), critical=False)
    )
    return builder.sign(Ed25519PrivateKey.from_private_bytes(seed), None).public_bytes(Encoding.DER)


def make_leaf(root: SigningKey, leaf: Ed25519PrivateKey, serial: int, not_before_ms: int, not_after_ms: int) -> bytes:
    """A leaf of the node ``root`` for the key ``leaf``, in DER; it counts between the two times, in whole seconds."""
    issuer = Ed25519PrivateKey.from_private_bytes(root.seed)
    builder = (
        x509.CertificateBuilder(
            _name(root.kid), x509.Name([]), leaf.public_key(), serial, _time(not_before_ms), _time(not_after_ms)
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(leaf.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([_uri(root.kid)]), critical=True)
    )
    return builder.sign(issuer, None).public_bytes(Encoding.DER)


def open_leaf(der: bytes, now_ms: int) -> Kid:
    """The node that issued this leaf for itself: named in its one URI, and its signature verified by that very key.

    Raises ``leaf-invalid``, also for one that counts no more, not yet, or for too long.
    """
    if len(der) > LEAF_BYTES:
        raise Rejected("leaf-invalid", f"{len(der)} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what strangers send is refused or not, and never printed
            return _open(x509.load_der_x509_certificate(der), now_ms)
    except _UNREADABLE as error:
        raise Rejected("leaf-invalid", f"not a certificate of the form that leaves have: {error}") from None


def _open(leaf: x509.Certificate, now_ms: int) -> Kid:
    names = list(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    if len(names) != 1 or not isinstance(names[0], x509.UniformResourceIdentifier):
        raise Rejected("leaf-invalid", f"names {len(names)} things, where one URI is expected")
    try:
        kid = keys.parse_did(names[0].value)
    except HoloError as error:
        raise Rejected("leaf-invalid", error.detail) from None
    if leaf.issuer != _name(kid) or leaf.signature_algorithm_oid != SignatureAlgorithmOID.ED25519:
        raise Rejected("leaf-invalid", f"not issued by {names[0].value}")
    if not keys.verify(kid, leaf.tbs_certificate_bytes, leaf.signature):
        raise Rejected("leaf-invalid", f"not signed by {names[0].value}")
    if leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise Rejected("leaf-invalid", "an authority, not a leaf")
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if (ends - begins).total_seconds() > LEAF_S_MAX:
        raise Rejected("leaf-invalid", f"counts for longer than {LEAF_S_MAX} s")
    now = _time(now_ms)
    if not begins <= now <= ends:
        raise Rejected("leaf-invalid", f"counts from {begins} to {ends}; here it is {now}")
    return kid


def _name(kid: Kid) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, keys.did_of(kid))])


def _uri(kid: Kid) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(keys.did_of(kid))


def _time(at_ms: int) -> datetime.datetime:
    return _EPOCH + datetime.timedelta(seconds=at_ms // 1000)


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
