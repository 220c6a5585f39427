"""Decisions about names that stand as most names do, put together from rows of the store and prepared forms.

A name with one current statement, or with none and nothing pending, in a namespace that is not held, asked for plainly
or by its genesis or by the policy in effect: then the decision is a function of two rows, and its bytes are the form of
the namespace with a few gaps filled. Anything else is left to :func:`~holo.core.resolve.decide`.

What is kept of a namespace is kept under the bytes of its row, so it is never stale: a policy or a hold that comes into
effect changes the row, and with it all that is said from the next question on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import msgspec
from blake3 import blake3

from holo.core import codec, limits
from holo.core.base32 import DIGEST_CHARS, encode_digests, encode_id
from holo.core.cid import CBOR, DAG_CBOR, RAW, Cid
from holo.core.consumer import ConsumerPolicy
from holo.core.decision import Decision, Query
from holo.core.names import DEFAULT_TAG, PATTERN
from holo.http.forms import ABSENT, BY_GENESIS, BY_POLICY, PLAIN, Form
from holo.http.shapes import resolved
from holo.http.types import encode_json
from holo.store.layout import deciding_bytes, decode_namespace, decode_one_standing
from holo.store.view import View


class Found(msgspec.Struct, frozen=True, gc=False):
    """A decision as it is sent: its id, which is its validator, and the JSON; and its own bytes, which the id names."""

    decision: bytes
    body: bytes
    payload: bytes


def decided(view: View, query: Query, consumer: ConsumerPolicy | None = None) -> Found:
    """The decision about any question, plain or not, in the same form."""
    return worded(view, view.decide(query, consumer))


def worded(view: View, decision: Decision) -> Found:
    """A decision as it is sent."""
    rev = None if decision.statement is None else view.binding(decision.statement).rev
    found = resolved(decision, rev)
    return Found(found.decision.encode(), encode_json(found), decision.as_statement().bytes)


class _Filled(NamedTuple):
    """A form with all but the name's own gaps filled. ``graded``: its policy sets thresholds for some tags."""

    decision: bytes
    body: bytes
    graded: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a namespace with its genesis and the policy in effect. ``mark``: see :meth:`PlainAnswers.find`.

    ``filled`` has, for each way to ask, the forms by the policy that the name's statement cites, then ``_YANKED`` where
    that is a tombstone; or by ``_UNBOUND``.
    """

    ns: str
    genesis: Cid
    policy: Cid
    policy_seq: int
    held: bool
    mark: bytes
    filled: tuple[dict[bytes, _Filled], ...]

    def way(self, ref: Cid | None) -> int | None:
        """The plain way to ask that this is, if it is one."""
        if ref is None:
            return 0
        return 1 if ref == self.genesis else 2 if ref == self.policy else None


Standing: TypeAlias = tuple[bytes, int, bytes | None, bytes, int]
"""(id, rev, cid, policy, number of positions), as :func:`~holo.store.layout.decode_one_standing` gives it."""

_UNBOUND: Final = b""
_YANKED: Final = b"\0"
_WAYS: Final = (PLAIN, BY_GENESIS, BY_POLICY)
_ENTRY_BYTES: Final = 512  # what an entry takes beside its forms, about

_TEXT_HEADS: Final = tuple(codec.encode("a" * size)[: -size or None] for size in range(limits.HANDLE_AND_TAG_BYTES + 1))
_INTS: Final = tuple(codec.encode(number) for number in range(limits.SIGNERS + 1))
_ID_HEAD: Final = bytes(Cid.of(DAG_CBOR, b""))[:4]
_KINDS: Final = {codec: str(Cid.of(codec, b""))[:-DIGEST_CHARS].encode() for codec in (RAW, DAG_CBOR, CBOR)}
_ID_KIND: Final = _KINDS[DAG_CBOR]

# The gaps that a namespace leaves open, in the order in which the values for them are given.
_BOUND: Final = ("handle", "tag", "rev", "statement", "content", "signers")
_BOUND_BODY: Final = ("name", "kind", "content", "statement", "decision", "rev", "signers")
_resolved: Final = PLAIN.resolved.decision.picker(_BOUND)
_resolved_body: Final = PLAIN.resolved.body.picker(_BOUND_BODY)
_yanked: Final = PLAIN.yanked.decision.picker(_BOUND)
_yanked_body: Final = PLAIN.yanked.body.picker(_BOUND_BODY)
_unbound: Final = PLAIN.unbound.decision.picker(("handle", "tag"))
_unbound_body: Final = PLAIN.unbound.body.picker(("name", "decision"))
_absent: Final = ABSENT.decision.picker(("ns", "handle", "tag"))
_absent_body: Final = ABSENT.body.picker(("name", "decision"))
_ABSENT: Final = _Filled(ABSENT.decision.form(), ABSENT.body.form(), False)


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
        """The decision about a valid name, asked for by the policy ``ref`` if any; None where it is not plain.

        What is kept of the namespace holds while its row begins with the mark, which is all but what no decision
        depends on.
        """
        row = view.records.namespace_bytes(ns)
        if row is None:
            return self.absent(ns, handle, tag) if ref is None else None
        kept = self._kept.get(ns)
        if kept is None or not row.startswith(kept.mark):
            kept = self._keep_row(ns, row)
        way = 0 if ref is None else kept.way(ref)
        if kept.held or way is None:
            return None
        key = ns + b"\0" + handle + b"/" + tag
        data = view.records.standings_bytes(key)
        if data is None:
            return None if view.records.has_boxes(key) else self.unbound(kept, way, ns, handle, tag)
        standing = decode_one_standing(data)
        return None if standing is None else self.bound(view, kept, way, ns, handle, tag, standing)

    def committed(self, view: View, ns: bytes, genesis: Cid, policy: Cid) -> Kept:
        """What is kept of a namespace that is not held, with this genesis and policy in effect, whenever that was."""
        kept = self._kept.get(ns)
        if kept is not None and kept.policy == policy and kept.genesis == genesis:
            return kept  # forms say nothing of a hold
        key = b"%b\0%b%b" % (ns, genesis, policy)
        kept = self._kept.get(key)
        if kept is None:
            seq = view.policy(policy).seq
            kept = self._keep(key, Kept(ns.decode(), genesis, policy, seq, False, b"", ({}, {}, {})))
        return kept

    def bound(
        self, view: View, kept: Kept, way: int, ns: bytes, handle: bytes, tag: bytes, standing: Standing
    ) -> Found | None:
        """The decision where one statement is current; None where it lacks endorsements, which no store allows."""
        statement, rev, content, cited, signers = standing
        filled = kept.filled[way].get(cited if content is not None else cited + _YANKED)
        if filled is None:
            filled = self._fill_bound(view, kept, way, cited, yanked=content is None)
        if filled.graded and signers < view.policy(Cid(cited)).threshold_for(tag.decode()):
            return None
        values = (
            _TEXT_HEADS[len(handle)] + handle,
            _TEXT_HEADS[len(tag)] + tag,
            _INTS[rev] if rev < 256 else codec.encode(rev),
            statement,
            content,
            _INTS[signers],
        )
        name = ns + b"/" + handle + b":" + tag
        if content is None:
            payload = filled.decision % _yanked(values)
            decision = blake3(payload).digest()
            statement_text, decision_text, _ = encode_digests(statement[4:], decision, decision)
            body = filled.body % _yanked_body(
                (name, b"", b"", statement_text, decision_text, b"%d" % rev, b"%d" % signers)
            )
        else:
            payload = filled.decision % _resolved(values)
            decision = blake3(payload).digest()
            content_text, statement_text, decision_text = encode_digests(content[4:], statement[4:], decision)
            body = filled.body % _resolved_body(
                (name, _KINDS[content[1]], content_text, statement_text, decision_text, b"%d" % rev, b"%d" % signers)
            )
        return Found(_ID_KIND + decision_text, body, payload)

    def unbound(self, kept: Kept, way: int, ns: bytes, handle: bytes, tag: bytes) -> Found:
        """The decision where nothing is current and nothing waits."""
        filled = kept.filled[way].get(_UNBOUND)
        if filled is None:
            filled = self._fill(kept, way, _UNBOUND, _WAYS[way].unbound, None, graded=False)
        decision = filled.decision % _unbound((_TEXT_HEADS[len(handle)] + handle, _TEXT_HEADS[len(tag)] + tag))
        return _not_found(decision, filled.body, _unbound_body, ns + b"/" + handle + b":" + tag)

    def absent(self, ns: bytes, handle: bytes, tag: bytes) -> Found:
        """The decision where the namespace is not hosted."""
        names = (_TEXT_HEADS[len(ns)] + ns, _TEXT_HEADS[len(handle)] + handle, _TEXT_HEADS[len(tag)] + tag)
        return _not_found(
            _ABSENT.decision % _absent(names), _ABSENT.body, _absent_body, b"%b/%b:%b" % (ns, handle, tag)
        )

    # --- what is kept

    def _keep_row(self, ns: bytes, data: bytes) -> Kept:
        """Begin anew to keep what is said of a namespace."""
        self._forget(ns)
        row = decode_namespace(ns.decode(), data)
        mark = deciding_bytes(row, data)
        kept = Kept(row.ns, row.genesis, row.policy, row.policy_seq, row.held is not None, mark, ({}, {}, {}))
        return self._keep(ns, kept)

    def _keep(self, key: bytes, kept: Kept) -> Kept:
        """Keep it, in place of what was kept longest if there is no room."""
        self.kept_bytes += _weight_bytes(kept)
        self._make_room()
        self._kept[key] = kept
        return kept

    def _fill_bound(self, view: View, kept: Kept, way: int, cited: bytes, *, yanked: bool) -> _Filled:
        graded = bool(view.policy(Cid(cited)).thresholds)
        form = _WAYS[way].yanked if yanked else _WAYS[way].resolved
        return self._fill(kept, way, cited + _YANKED if yanked else cited, form, cited, graded=graded)

    def _fill(self, kept: Kept, way: int, key: bytes, form: Form, cited: bytes | None, *, graded: bool) -> _Filled:
        ids: dict[str, bytes] = {"genesis": kept.genesis, "policy": kept.policy}
        if cited is not None:
            ids["cited"] = cited
        texts = {gap: encode_id(id)[-DIGEST_CHARS:] for gap, id in ids.items()}
        filled = _Filled(
            form.decision.fill({"ns": codec.encode(kept.ns), "seq": codec.encode(kept.policy_seq), **ids}).form(),
            form.body.fill({"seq": b"%d" % kept.policy_seq, **texts}).form(),
            graded,
        )
        kept.filled[way][key] = filled
        self.kept_bytes += _form_bytes(filled)
        self._make_room()
        return filled

    def _make_room(self) -> None:
        while self.kept_bytes > self._most_bytes and self._kept:
            self._forget(next(iter(self._kept)))

    def _forget(self, ns: bytes) -> None:
        kept = self._kept.pop(ns, None)
        if kept is not None:
            self.kept_bytes -= _weight_bytes(kept)


def _not_found(
    decision: bytes, body: bytes, values: Callable[[tuple[bytes, bytes]], tuple[bytes, ...]], name: bytes
) -> Found:
    text = b"b" + encode_id(_ID_HEAD + blake3(decision).digest())
    return Found(text, body % values((name, text[-DIGEST_CHARS:])), decision)


def _weight_bytes(kept: Kept) -> int:
    return _ENTRY_BYTES + sum(_form_bytes(filled) for way in kept.filled for filled in way.values())


def _form_bytes(filled: _Filled) -> int:
    return _ENTRY_BYTES + len(filled.decision) + len(filled.body)
