"""Decisions about names that stand as most names do, put together from rows of the store and prepared forms.

A name with one current statement, or with none and nothing pending, in a namespace that is not held, asked for plainly
or by its genesis or by the policy in effect: then the decision is a function of two rows, and its bytes are a form with
a few gaps filled. Asked for plainly while the policy it cites is in effect, even its id is in the row. Anything else is
left to :func:`~holo.core.resolve.decide`.

What is kept of a namespace is kept under the bytes of its row, so it is never stale: a policy or a hold that comes into
effect changes the row, and with it all that is said from the next question on.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

import msgspec
from blake3 import blake3

from holo.core import limits
from holo.core.base32 import DIGEST_CHARS, encode_digests, encode_id
from holo.core.cid import CBOR, DAG_CBOR, RAW, Cid
from holo.core.consumer import ConsumerPolicy
from holo.core.decision import Decision, Query
from holo.core.names import DEFAULT_TAG, PATTERN
from holo.core.plain_decision import encode_number, encode_text
from holo.http.forms import NOT_HOSTED, WAYS, Form
from holo.http.shapes import resolved
from holo.http.types import encode_json
from holo.store.layout import deciding_bytes, decode_namespace, decode_one_standing, decode_worded
from holo.store.view import View


class Found(msgspec.Struct, frozen=True, gc=False):
    """A decision as it is sent: its id, which is its validator, and the JSON."""

    decision: bytes
    body: bytes


class Decided(Found, frozen=True, gc=False):
    """The same with the decision's own bytes, which the id names."""

    payload: bytes


def decided(view: View, query: Query, consumer: ConsumerPolicy | None = None) -> Decided:
    """The decision about any question, plain or not, in the same form."""
    return worded(view, view.decide(query, consumer))


def worded(view: View, decision: Decision) -> Decided:
    """A decision as it is sent."""
    rev = None if decision.statement is None else view.binding(decision.statement).rev
    found = resolved(decision, rev)
    return Decided(found.decision.encode(), encode_json(found), decision.as_statement().bytes)


class Kept:
    """What is kept of a namespace with its genesis and the policy in effect.

    It is what the row says that begins with ``mark``, and was found to be so in the snapshot of commit ``seen``.
    ``cited`` has what is known of the policies that its names cite: the text of the id, and whether it sets thresholds
    for some tags.
    """

    __slots__ = (
        "cited", "genesis", "genesis_text", "held", "mark", "policy", "policy_seq", "policy_text", "seen", "seq_text",
        "texts",
    )  # fmt: skip

    def __init__(self, genesis: Cid, policy: Cid, policy_seq: int, *, held: bool = False, mark: bytes = b"") -> None:
        self.genesis = genesis
        self.policy = policy
        self.policy_seq = policy_seq
        self.held = held
        self.mark = mark
        self.seen = -1
        self.genesis_text = _text(genesis)
        self.policy_text = _text(policy)
        self.seq_text = b"%d" % policy_seq
        self.texts = self.genesis_text, self.policy_text, self.seq_text, self.policy_text  # cited is the one in effect
        self.cited: dict[bytes, tuple[bytes, bool]] = {}

    def way(self, ref: Cid | None) -> int | None:
        """The plain way to ask that this is, if it is one."""
        if ref is None:
            return 0
        return 1 if ref == self.genesis else 2 if ref == self.policy else None


Standing: TypeAlias = tuple[bytes, int, bytes | None, bytes, int]
"""(id, rev, cid, policy, number of positions), as :func:`~holo.store.layout.decode_one_standing` gives it."""

_ENTRY_BYTES: Final = 1800  # what is kept of a namespace, with as many policies
_CITED_MAX: Final = 4
_NAME_BYTES: Final = limits.NAMESPACE_BYTES + limits.HANDLE_AND_TAG_BYTES + 2

_ID_HEAD: Final = bytes(Cid.of(DAG_CBOR, b""))[:4]
_KINDS: Final = {codec: str(Cid.of(codec, b""))[:-DIGEST_CHARS].encode() for codec in (RAW, DAG_CBOR, CBOR)}
_ID_KIND: Final = _KINDS[DAG_CBOR]
_PLAIN: Final = WAYS[0]
_DECIMALS: Final = tuple(b"%d" % number for number in range(256))


_named = re.compile(PATTERN.encode()).fullmatch
_DEFAULT_TAG: Final = DEFAULT_TAG.encode()


def plain_name(text: bytes) -> tuple[bytes, bytes, bytes] | None:
    """(namespace, handle, tag) of a valid name without a pin, else None."""
    named = _named(text)
    if named is None:
        return None
    ns, handle, tag = named.groups(_DEFAULT_TAG)
    return (ns, handle, tag) if len(handle) + len(tag) <= limits.HANDLE_AND_TAG_BYTES else None


class PlainAnswers:
    """Puts plain answers together. What it keeps of namespaces is bounded in bytes; one thread at a time."""

    def __init__(self, most_bytes: int = limits.ANSWER_FORMS_BYTES) -> None:
        self._kept: dict[bytes, Kept] = {}
        self._most_bytes = most_bytes
        self.kept_bytes = 0

    def find(self, view: View, ns: bytes, handle: bytes, tag: bytes, ref: Cid | None = None) -> Found | None:
        """The decision about a valid name, asked for by the policy ``ref`` if any; None where it is not plain."""
        kept = self._kept.get(ns)
        if kept is None or kept.seen != view.commit:
            kept = self._see(view, ns, kept)
            if kept is None:
                return self.absent(ns, handle, tag) if ref is None else None
        way = 0 if ref is None else kept.way(ref)
        if kept.held or way is None:
            return None
        key = b"%b\0%b/%b" % (ns, handle, tag)
        data = view.records.current_bytes(key)
        if data is None:
            return None if view.records.has_boxes(key) else self.unbound(kept, way, ns, handle, tag)
        if way == 0:
            found = _word(kept, b"%b/%b:%b" % (ns, handle, tag), data)
            if found is not None:
                return found
        standing = decode_one_standing(data)
        return None if standing is None else self.bound(view, kept, way, ns, handle, tag, standing)

    def find_bound(self, view: View, text: bytes) -> Found | None:
        """The plain decision about a bound name, in a namespace that was looked at in this snapshot; else None.

        ``text`` may be anything, for only a name leads to the row of one, and to no other's.
        """
        ns, _, path = text.partition(b"/")
        kept = self._kept.get(ns)
        if kept is None or kept.seen != view.commit or kept.held or len(text) > _NAME_BYTES:
            return None
        handle, colon, tag = path.partition(b":")
        if not colon:
            tag = _DEFAULT_TAG
            text = b"%b:%b" % (text, tag)
        elif b"/" in tag:  # in a key it would look like a part of the handle
            return None
        data = view.records.current_bytes(b"%b\0%b/%b" % (ns, handle, tag))
        return None if data is None else _word(kept, text, data)

    def committed(self, view: View, ns: bytes, genesis: Cid, policy: Cid) -> Kept:
        """What is kept of a namespace that is not held, with this genesis and policy in effect, whenever that was."""
        kept = self._kept.get(ns)
        if kept is not None and kept.policy == policy and kept.genesis == genesis:
            return kept  # forms say nothing of a hold
        key = b"%b\0%b%b" % (ns, genesis, policy)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._keep(key, Kept(genesis, policy, view.policy(policy).seq))
        return kept

    def bound(
        self, view: View, kept: Kept, way: int, ns: bytes, handle: bytes, tag: bytes, standing: Standing
    ) -> Decided | None:
        """The decision where one statement is current; None where it lacks endorsements, which no store allows."""
        statement, rev, content, cited, signers = standing
        known = kept.cited.get(cited)
        if known is None:
            known = self._know(view, kept, cited)
        cited_text, graded = known
        if graded and signers < view.policy(Cid(cited)).threshold_for(tag.decode()):
            return None
        forms = WAYS[way]
        values = (
            *_names(ns, handle, tag),
            kept.genesis,
            kept.policy,
            encode_number(kept.policy_seq),
            cited,
            statement,
            encode_number(rev),
            encode_number(signers),
        )
        name = b"%b/%b:%b" % (ns, handle, tag)
        seq, genesis, policy = kept.seq_text, kept.genesis_text, kept.policy_text
        if content is None:
            payload = forms.yanked.decision.write(*values)
            digest = blake3(payload).digest()
            statement_text, id_text, _ = encode_digests(statement[4:], digest, digest)
            body = forms.yanked.write(
                name, id_text, genesis, policy, seq, cited_text, statement_text, b"%d" % rev, b"%d" % signers
            )
        else:
            payload = forms.resolved.decision.write(*values, content)
            statement_text, id_text, content_text = encode_digests(statement[4:], blake3(payload).digest(), content[4:])
            body = forms.resolved.write(
                name, id_text, genesis, policy, seq, cited_text, statement_text, b"%d" % rev, b"%d" % signers,
                _KINDS[content[1]], content_text,
            )  # fmt: skip
        return Decided(_ID_KIND + id_text, body, payload)

    def unbound(self, kept: Kept, way: int, ns: bytes, handle: bytes, tag: bytes) -> Decided:
        """The decision where nothing is current and nothing waits."""
        form = WAYS[way].unbound
        names = _names(ns, handle, tag)
        payload = form.decision.write(*names, kept.genesis, kept.policy, encode_number(kept.policy_seq))
        name = b"%b/%b:%b" % (ns, handle, tag)
        return _not_found(payload, form, name, kept.genesis_text, kept.policy_text, kept.seq_text)

    def absent(self, ns: bytes, handle: bytes, tag: bytes) -> Decided:
        """The decision where the namespace is not hosted."""
        payload = NOT_HOSTED.decision.write(*_names(ns, handle, tag))
        return _not_found(payload, NOT_HOSTED, b"%b/%b:%b" % (ns, handle, tag))

    # --- what is kept

    def _see(self, view: View, ns: bytes, kept: Kept | None) -> Kept | None:
        """What is kept of a namespace, looked at in this snapshot; None where it is not hosted."""
        row = view.records.namespace_bytes(ns)
        if row is None:
            self._forget(ns)
            return None
        if kept is None or not row.startswith(kept.mark):
            self._forget(ns)
            found = decode_namespace(ns.decode(), row)
            mark = deciding_bytes(found, row)
            kept = Kept(found.genesis, found.policy, found.policy_seq, held=found.held is not None, mark=mark)
            self._keep(ns, kept)
        kept.seen = view.commit
        return kept

    def _keep(self, key: bytes, kept: Kept) -> Kept:
        """Keep it, in place of what was kept longest if there is no room."""
        self.kept_bytes += _ENTRY_BYTES
        while self.kept_bytes > self._most_bytes and self._kept:
            self._forget(next(iter(self._kept)))
        self._kept[key] = kept
        return kept

    def _know(self, view: View, kept: Kept, cited: bytes) -> tuple[bytes, bool]:
        if len(kept.cited) == _CITED_MAX:
            kept.cited.clear()
        known = kept.cited[cited] = _text(cited), bool(view.policy(Cid(cited)).thresholds)
        return known

    def _forget(self, ns: bytes) -> None:
        if self._kept.pop(ns, None) is not None:
            self.kept_bytes -= _ENTRY_BYTES


def _word(kept: Kept, name: bytes, data: bytes) -> Found | None:
    """The plain decision about a name whose row is ``data``; None where it is not worded, or for another policy."""
    found = decode_worded(data)
    if found is None or found[0] != kept.policy:
        return None
    _, statement, decision, content, codec, rev, signers = found
    values = (name, decision, *kept.texts, statement, _decimal(rev), _decimal(signers))
    if codec is None:
        return Found(_ID_KIND + decision, _PLAIN.yanked.write(*values))
    return Found(_ID_KIND + decision, _PLAIN.resolved.write(*values, _KINDS[codec], content))


def _names(ns: bytes, handle: bytes, tag: bytes) -> tuple[bytes, bytes, bytes]:
    return encode_text(ns), encode_text(handle), encode_text(tag)


def _not_found(payload: bytes, form: Form, name: bytes, *others: bytes) -> Decided:
    text = _text(_ID_HEAD + blake3(payload).digest())
    return Decided(_ID_KIND + text, form.write(name, text, *others), payload)


def _decimal(number: int) -> bytes:
    return _DECIMALS[number] if number < len(_DECIMALS) else b"%d" % number


def _text(id: bytes) -> bytes:
    return encode_id(id)[-DIGEST_CHARS:]
