"""What a bundle holds, its bytes, and where its parts come from (spec section 4).

A bundle holds each thing once: receipts, heads and log-geneses as envelopes, statements with the signatures of their
endorsers, objects named by their CID, and inclusion proofs. Every list is sorted by id, so that equal contents have
equal bytes. :class:`Tracked` remembers what was read from a source: what verification reads is what a bundle holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from holo.core import codec, limits
from holo.core.cid import DAG_CBOR, Cid
from holo.core.codec import ARRAY, BYTE_STRING, LINK_HEAD
from holo.core.envelope import decode_envelope, open_statement
from holo.core.errors import Missing, Rejected
from holo.core.fields import Fields
from holo.core.head import Head
from holo.core.keys import SIGNATURE_BYTES, Kid, did_of, kid_of
from holo.core.log import HASH_BYTES
from holo.core.receipt import Logged
from holo.core.template import Template

TYPE: Final = "bundle"

_Part = TypeVar("_Part")

_PARTS: Final = ("receipts", "heads", "logs", "records", "objects", "inclusions")
_FIELDS: Final = ("v", "type", *_PARTS)
_PAIR: Final = codec.head(ARRAY, 2)
_TRIPLE: Final = codec.head(ARRAY, 3)


class BundleSource(Protocol):
    """Where proofs are read from: a node's store, or a bundle. Each method raises if it lacks what is asked for."""

    def object(self, cid: Cid) -> bytes:
        """A catalog, namespace state, tree node (of a catalog or of a seal) or consumer policy."""

    def payload(self, statement: Cid) -> bytes:
        """The payload of a policy or a binding."""

    def endorsements(self, statement: Cid) -> Mapping[Kid, bytes]:
        """All known signatures of a statement, pending ones included."""

    def head(self, cid: Cid) -> bytes:
        """The envelope of a head."""

    def log_genesis(self, cid: Cid) -> bytes:
        """The envelope of a log-genesis."""

    def covering_head(self, receipt: Logged) -> Cid:
        """The id of a head whose log holds this receipt; a node takes its newest."""

    def inclusion(self, receipt: Logged, head: Head) -> Sequence[bytes]:
        """The proof that the log of ``head`` holds this receipt."""


@dataclass(slots=True)
class Contents:
    """The parts of a bundle, each by its id. ``inclusions``: receipt → (head, hashes)."""

    receipts: dict[Cid, bytes] = field(default_factory=dict)
    heads: dict[Cid, bytes] = field(default_factory=dict)
    logs: dict[Cid, bytes] = field(default_factory=dict)
    payloads: dict[Cid, bytes] = field(default_factory=dict)
    signatures: dict[Cid, dict[Kid, bytes]] = field(default_factory=dict)
    objects: dict[Cid, bytes] = field(default_factory=dict)
    inclusions: dict[Cid, tuple[Cid, tuple[bytes, ...]]] = field(default_factory=dict)


class Tracked:
    """A source whose every read is remembered in ``read``."""

    def __init__(self, source: BundleSource) -> None:
        self._source = source
        self.read = Contents()

    def object(self, cid: Cid) -> bytes:
        """The object ``cid``, known to match it."""
        data = self.read.objects.get(cid)
        if data is None:
            data = self._source.object(cid)
            _require_named(cid, data, f"object {cid}")
            self.read.objects[cid] = data
        return data

    def payload(self, statement: Cid) -> bytes:
        """The payload of ``statement``, known to match it."""
        data = self.read.payloads.get(statement)
        if data is None:
            data = self._source.payload(statement)
            _require_named(statement, data, f"statement {statement}")
            self.read.payloads[statement] = data
        return data

    def signers(self, statement: Cid) -> Iterable[Kid]:
        """Whose signatures of a statement there are. Not remembered: only a signature that is looked at is read."""
        return self._source.endorsements(statement).keys()

    def signature(self, statement: Cid, kid: Kid) -> bytes:
        """The signature of ``statement`` by ``kid``."""
        found = self._source.endorsements(statement).get(kid)
        if found is None:
            raise Missing(
                "not-found", f"{did_of(kid)}'s signature", subject=str(statement), at=f"statement {statement}"
            )
        self.read.signatures.setdefault(statement, {})[kid] = found
        return found

    def head(self, cid: Cid) -> bytes:
        """The envelope of a head."""
        return _kept(self.read.heads, cid, self._source.head)

    def log_genesis(self, cid: Cid) -> bytes:
        """The envelope of a log-genesis."""
        return _kept(self.read.logs, cid, self._source.log_genesis)

    def covering_head(self, receipt: Logged) -> Cid:
        """The head in which the receipt is proved."""
        return self._source.covering_head(receipt)

    def inclusion(self, receipt: Logged, head: Head) -> tuple[bytes, ...]:
        """The inclusion proof of a receipt."""
        hashes = tuple(self._source.inclusion(receipt, head))
        self.read.inclusions[receipt.id] = (head.id, hashes)
        return hashes


class Held:
    """The source that a decoded bundle is."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def object(self, cid: Cid) -> bytes:
        return _found(self._contents.objects, cid, "objects")

    def payload(self, statement: Cid) -> bytes:
        return _found(self._contents.payloads, statement, "records")

    def endorsements(self, statement: Cid) -> Mapping[Kid, bytes]:
        return self._contents.signatures.get(statement, {})

    def head(self, cid: Cid) -> bytes:
        return _found(self._contents.heads, cid, "heads")

    def log_genesis(self, cid: Cid) -> bytes:
        return _found(self._contents.logs, cid, "logs")

    def covering_head(self, receipt: Logged) -> Cid:
        return _found(self._contents.inclusions, receipt.id, "inclusions")[0]

    def inclusion(self, receipt: Logged, head: Head) -> Sequence[bytes]:
        return _found(self._contents.inclusions, receipt.id, "inclusions")[1]


def encode_contents(contents: Contents) -> bytes:
    """The bytes of a bundle. Raises ``too-large``."""
    data = _FORM % _pick(
        (
            _byte_strings(_in_order(contents.receipts)),
            _byte_strings(_in_order(contents.heads)),
            _byte_strings(_in_order(contents.logs)),
            _list(
                _PAIR + _byte_string(payload) + _signatures(contents.signatures.get(cid, {}))
                for cid, payload in sorted(contents.payloads.items())
            ),
            _byte_strings(_in_order(contents.objects)),
            _list(
                _TRIPLE + LINK_HEAD + receipt + LINK_HEAD + head + _byte_strings(hashes)
                for receipt, (head, hashes) in sorted(contents.inclusions.items())
            ),
        )
    )
    if len(data) > limits.BUNDLE_BYTES:
        raise Rejected("too-large", f"a bundle of {len(data)} bytes where at most {limits.BUNDLE_BYTES} are allowed")
    return data


def decode_contents(data: bytes) -> Contents:
    """The parts of a bundle: bounded, well formed, sorted, each once. No signature is verified yet.

    Raises ``too-large``, ``cbor-invalid``, ``field-*``, ``bundle-invalid`` and others, with the place as ``at``.
    """
    fields = Fields(open_statement(data, TYPE, limits.BUNDLE_BYTES).value, "bundle", _FIELDS)
    contents = Contents(
        receipts=_envelopes(fields, "receipts", limits.RECEIPT_BYTES, limits.BUNDLE_RECEIPTS, least=1),
        heads=_envelopes(fields, "heads", limits.HEAD_BYTES, limits.BUNDLE_RECEIPTS),
        logs=_envelopes(fields, "logs", limits.HEAD_BYTES, limits.BUNDLE_RECEIPTS),
        objects=_by_id(fields, "objects", _object),
        inclusions=dict(_by_id(fields, "inclusions", _inclusion).values()),
    )
    for payload, signatures in _by_id(fields, "records", _record).values():
        cid = Cid.of(DAG_CBOR, payload)
        contents.payloads[cid], contents.signatures[cid] = payload, signatures
    return contents


def unused(carried: Contents, read: Contents) -> str | None:
    """The place of the first thing that a bundle carries and that was not read, or None."""
    for name in ("heads", "logs", "objects", "inclusions"):
        place = _first_unread(name, getattr(carried, name), getattr(read, name))
        if place is not None:
            return place
    for index, (cid, signatures) in enumerate(sorted(carried.signatures.items())):
        if cid not in read.payloads:
            return f"records[{index}]"
        place = _first_unread(f"records[{index}].signatures", signatures, read.signatures.get(cid, {}))
        if place is not None:
            return place
    return None


def _first_unread(name: str, carried: Mapping[Any, Any], read: Mapping[Any, Any]) -> str | None:
    return next((f"{name}[{index}]" for index, key in enumerate(sorted(carried)) if key not in read), None)


def _list(items: Iterable[bytes]) -> bytes:
    found = list(items)
    return codec.head(ARRAY, len(found)) + b"".join(found)


def _byte_strings(items: Iterable[bytes]) -> bytes:
    return _list(map(_byte_string, items))


def _byte_string(data: bytes) -> bytes:
    return codec.head(BYTE_STRING, len(data)) + data


def _signatures(signatures: Mapping[Kid, bytes]) -> bytes:
    return _list(_PAIR + _byte_string(kid) + _byte_string(data) for kid, data in sorted(signatures.items()))


def _template() -> Template:
    """A bundle but for its parts."""
    marks = {name: f"mark of {name}" for name in _PARTS}
    data = codec.encode({"v": 1, "type": TYPE, **marks})
    return Template.cut(data, {name: codec.encode(mark) for name, mark in marks.items()})


def _in_order(items: Mapping[Cid, bytes]) -> list[bytes]:
    return [data for _, data in sorted(items.items())]


def _require_named(cid: Cid, data: bytes, at: str) -> None:
    """A CID of another codec with the same digest is another CID: what names a thing has one spelling."""
    if cid != Cid.of(DAG_CBOR, data):
        raise Rejected("cid-mismatch", str(cid), subject=str(cid), at=at)


def _kept(kept: dict[Cid, bytes], cid: Cid, read: Callable[[Cid], bytes]) -> bytes:
    if cid not in kept:
        kept[cid] = read(cid)
    return kept[cid]


def _found(items: Mapping[Cid, _Part], cid: Cid, name: str) -> _Part:
    if cid not in items:
        raise Rejected("bundle-invalid", f"{name} lack {cid}", subject=str(cid), at=name)
    return items[cid]


def _envelopes(fields: Fields, name: str, limit_bytes: int, limit: int, *, least: int = 0) -> dict[Cid, bytes]:
    def parse(item: Any) -> tuple[Cid, bytes]:
        if type(item) is not bytes:
            raise Rejected("bundle-invalid", "not an envelope")
        return Cid.of(DAG_CBOR, decode_envelope(item, limit_bytes)[2]), item

    return _by_id(fields, name, parse, limit, least)


def _by_id(
    fields: Fields,
    name: str,
    parse: Callable[[Any], tuple[Cid, Any]],
    limit: int = limits.BUNDLE_ITEMS,
    least: int = 0,
) -> dict[Cid, Any]:
    """What ``parse`` makes of each item of a list, by id; the ids have to rise."""
    found: dict[Cid, Any] = {}
    before: bytes = b""
    for index, item in enumerate(fields.items(name, limit, least=least)):
        try:
            cid, made = parse(item)
            if cid <= before:
                raise Rejected("bundle-invalid", "not in order of id")
        except Rejected as error:
            error.at = f"{name}[{index}]" + (f" {error.at}" if error.at else "")
            raise
        found[cid] = made
        before = cid
    return found


def _object(item: Any) -> tuple[Cid, bytes]:
    if type(item) is not bytes or len(item) > max(limits.NODE_BYTES, limits.CONSUMER_POLICY_BYTES):
        raise Rejected("bundle-invalid", "not an object, or too large for one")
    return Cid.of(DAG_CBOR, item), item


def _record(item: Any) -> tuple[Cid, tuple[bytes, dict[Kid, bytes]]]:
    if not (isinstance(item, list) and len(item) == 2 and type(item[0]) is bytes and isinstance(item[1], list)):
        raise Rejected("bundle-invalid", "not a payload and signatures")
    payload, pairs = item
    if len(payload) > limits.POLICY_BYTES or not 1 <= len(pairs) <= limits.BUNDLE_SIGNATURES:
        raise Rejected("bundle-invalid", "more bytes or signatures than a statement has")
    signatures: dict[Kid, bytes] = {}
    before = b""
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(part) is bytes for part in pair)):
            raise Rejected("bundle-invalid", "not a kid and a signature")
        kid, signature = kid_of(pair[0]), pair[1]
        if kid <= before or len(signature) != SIGNATURE_BYTES:
            raise Rejected("bundle-invalid", "signatures out of order or of a wrong length")
        signatures[kid] = signature
        before = kid
    return Cid.of(DAG_CBOR, payload), (payload, signatures)


def _inclusion(item: Any) -> tuple[Cid, tuple[Cid, tuple[Cid, tuple[bytes, ...]]]]:
    well_formed = (
        isinstance(item, list)
        and len(item) == 3
        and isinstance(item[0], Cid)
        and isinstance(item[1], Cid)
        and isinstance(item[2], list)
        and len(item[2]) <= limits.BUNDLE_PROOF_HASHES
        and all(type(part) is bytes and len(part) == HASH_BYTES for part in item[2])
    )
    if not well_formed:
        raise Rejected("bundle-invalid", "not a receipt, a head and hashes")
    receipt, head, hashes = item
    return receipt, (receipt, (head, tuple(hashes)))


_FORM: Final = _template().form()
_pick: Final = _template().picker(_PARTS)
