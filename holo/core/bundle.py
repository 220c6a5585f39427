"""Bundles: receipts with everything a stranger needs to judge them offline (spec section 4).

:func:`make_bundle` and :func:`verify_bundle` run the same examination. One reads from a node and keeps what it read,
the other reads from the bundle and accepts nothing that was not needed. So a bundle holds exactly its own proof, a
node never hands out one it would itself refuse, and a single flipped bit anywhere is noticed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from holo.core import codec
from holo.core.bundle_contents import BundleSource, Contents, Held, Tracked, decode_contents, encode_contents, unused
from holo.core.cid import Cid
from holo.core.consumer import ConsumerPolicy, decode_consumer_policy
from holo.core.decision import Query
from holo.core.errors import HoloError, Rejected
from holo.core.evidence import open_evidence, parse_evidence_value
from holo.core.head import Anchors, Head, contradiction, open_head, open_log_genesis
from holo.core.keys import Kid, did_of
from holo.core.log import check_inclusion, leaf_hash
from holo.core.receipt import (
    BindingReceipt,
    DenialReceipt,
    Logged,
    PolicyReceipt,
    Receipt,
    ResolveReceipt,
    open_receipt,
)
from holo.core.rederive import Realm, Rederivation, look_up
from holo.core.report import Report, Stopped, Trail, Verdict
from holo.core.resolve import Candidate, NamespaceView, decide
from holo.core.state import decode_catalog, decode_namespace_state, parse_state_value

__all__ = ["BundleSource", "make_bundle", "merge_bundles", "verify_bundle"]


def make_bundle(receipts: Iterable[bytes], source: BundleSource) -> bytes:
    """The bundle of these receipts, given as envelopes: resolve-receipts, or logged ones that a head covers.

    Raises what ``source`` raises for what it lacks, and the error a verifier would find: then the node that signed
    the receipts contradicts itself.
    """
    tracked, trail = Tracked(source), Trail()
    examination = Examination(tracked, trail)
    try:
        for envelope in receipts:
            receipt = open_receipt(envelope)
            tracked.read.receipts[receipt.id] = envelope
            examination.examine(receipt)
    except Stopped as stopped:
        raise stopped.error from None
    return encode_contents(tracked.read)


def merge_bundles(bundles: Sequence[bytes]) -> bytes:
    """One bundle of all receipts of several: of several nodes' decisions about one question, say.

    Each thing is in it once, and nothing that proves nothing there. Raises ``too-large``, what decoding one of them
    raises, and the error a verifier would find.
    """
    merged = Contents()
    for data in bundles:
        part = decode_contents(data)
        for mine, its in (
            (merged.receipts, part.receipts),
            (merged.heads, part.heads),
            (merged.logs, part.logs),
            (merged.payloads, part.payloads),
            (merged.objects, part.objects),
        ):
            mine.update(its)
        merged.inclusions.update(part.inclusions)
        for statement, signatures in part.signatures.items():
            merged.signatures.setdefault(statement, {}).update(signatures)
    return make_bundle(merged.receipts.values(), Held(merged))


def verify_bundle(data: bytes, anchors: Anchors) -> Report:
    """What the bundle proves to a reader who trusts ``anchors``. Never raises: what is wrong is in the report."""
    trail = Trail()
    try:
        with trail.check("bundle-decoded", at="bundle"):
            contents = decode_contents(data)
    except Stopped:
        return Report(trail.checks, (), ())
    tracked = Tracked(Held(contents))
    examination = Examination(tracked, trail)
    receipts = _examined(contents, examination, trail)
    heads = tuple(examination.heads.values())
    try:
        _check_heads(heads, trail)
        if all(check.verdict != "bad" for check in trail.checks):
            with trail.check("nothing-unused"):
                place = unused(contents, tracked.read)
                if place is not None:
                    raise Rejected("bundle-invalid", "something that proves nothing here", at=place)
    except Stopped:
        pass
    _judge_trust(receipts, examination.consumers, anchors, anchors.exposed | examination.exposed, trail)
    return Report(trail.checks, tuple(receipts), heads)


class Examination:
    """Receipts, each derived again from what ``tracked`` gives; the checks go to ``trail``."""

    def __init__(self, tracked: Tracked, trail: Trail) -> None:
        self._tracked = tracked
        self._trail = trail
        self._rederivation = Rederivation(tracked)
        self._realms: dict[Cid, Realm] = {}
        self.heads: dict[Cid, Head] = {}
        self.consumers: dict[Cid, ConsumerPolicy] = {}
        self.exposed: set[Kid] = set()

    def examine(self, receipt: Receipt) -> None:
        """Check all that ``receipt`` says. Raises :class:`Stopped` where a check fails."""
        if isinstance(receipt, ResolveReceipt):
            self._resolve(receipt)
        elif isinstance(receipt, BindingReceipt):
            self._logged(receipt)
            self._binding(receipt)
        elif isinstance(receipt, PolicyReceipt):
            self._logged(receipt)
            self._policy(receipt)
        elif isinstance(receipt, DenialReceipt):
            self._logged(receipt)
            self._trail.note("receipt-state", receipt.id, "stated", f"that it was refused: {receipt.code}")
        else:
            with self._trail.check("receipt-signed", receipt.id):
                raise Rejected("type-mismatch", f"{receipt.statement.type} is not a receipt of its own")

    # --- resolve-receipts

    def _resolve(self, receipt: ResolveReceipt) -> None:
        trail, decision = self._trail, receipt.decision
        with trail.check("head-signed", receipt.head, at=f"head {receipt.head}"):
            head = self._open_head(receipt.head, receipt.signer)
        with trail.check("head-cited", receipt.id):
            if head.catalog != receipt.catalog:
                raise Rejected("receipt-invalid", "its catalog is not that of its head", at=f"receipt {receipt.id}")
        trail.note("head-newest", head.id, "stated", f"seq {head.seq} of log {head.log}")
        consumer = self._consumer(decision.consumer_policy, decision.query)
        realm = self._realm(receipt.catalog, decision.query.name.namespace)
        view = None if realm is None else self._view(realm, decision.query, receipt.catalog, consumer)
        with trail.check("decision-same", receipt.id):
            again = decide(decision.query, view, consumer)
            if again.as_statement().bytes != codec.encode(receipt.statement.value["decision"]):
                detail = f"{again.outcome} where the receipt says {decision.outcome}, or other steps"
                raise Rejected("bundle-invalid", detail, at=f"receipt {receipt.id}")
        if decision.outcome == "policy-unknown":
            trail.note("policy-ref-absent", decision.query.policy_ref, "stated")

    def _consumer(self, cid: Cid | None, query: Query) -> ConsumerPolicy | None:
        if cid is None:
            return None
        with self._trail.check("consumer-policy-read", cid):
            if cid != query.policy_ref:
                raise Rejected("bundle-invalid", "it is not the policy the query names", at=f"object {cid}")
            self.consumers[cid] = decode_consumer_policy(self._tracked.object(cid))
        return self.consumers[cid]

    def _realm(self, catalog: Cid, ns: str) -> Realm | None:
        """The namespace in a catalog, derived again, or None where the catalog does not have it."""
        with self._trail.check("namespace-proved", ns):
            roots = decode_catalog(self._tracked.object(catalog))
            value = look_up(self._tracked, roots.namespaces, ns.encode())
            if value is None:
                return None
            cid = parse_state_value(value)
            state = decode_namespace_state(self._tracked.object(cid))
            if state.ns != ns:
                raise Rejected("bundle-invalid", f"the state is that of {state.ns}", at=f"object {cid}")
        if cid not in self._realms:
            with self._trail.check("policies-proved", state.genesis):
                known = self._rederivation.policies(state)
            with self._trail.check("chain-decided", state.policy):
                chain = self._rederivation.chain(state, known)
            self._realms[cid] = Realm(state, known, chain)
            for policy in chain.policies:
                if policy.seal is not None:
                    held = "held" if policy.seq <= chain.policy.seq else "not all held"
                    self._trail.note("seal-held", policy.id, "stated", held)
        return self._realms[cid]

    def _view(self, realm: Realm, query: Query, catalog: Cid, consumer: ConsumerPolicy | None) -> NamespaceView:
        with self._trail.check("name-proved", query.name):
            current = self._rederivation.current(realm, query.name)
        exposed: frozenset[Kid] = frozenset()
        if consumer is not None and consumer.deny_exposed:
            with self._trail.check("exposure-proved", query.name):
                exposed = self._exposed(catalog, current)
        pending = 0
        if not current:
            with self._trail.check("pending-proved", query.name):
                pending = self._rederivation.pending(realm, query.name)
        policy = realm.chain.policy
        return NamespaceView(
            realm.state.genesis, policy.id, policy.seq, realm.known.keys(), realm.chain.held, current, pending, exposed
        )

    def _exposed(self, catalog: Cid, candidates: Sequence[Candidate]) -> frozenset[Kid]:
        """Those who endorsed one of the candidates and against whom the catalog has evidence, which is verified."""
        root = decode_catalog(self._tracked.object(catalog)).evidence
        found = set()
        for kid in sorted({kid for candidate in candidates for kid in candidate.endorsers}):
            value = look_up(self._tracked, root, kid)
            if value is None:
                continue
            evidence = open_evidence(self._tracked.object(parse_evidence_value(value)))
            if evidence.subject != kid:
                raise Rejected("bundle-invalid", "evidence against another key", at=f"object {evidence.id}")
            found.add(kid)
            self.exposed.add(kid)
        return frozenset(found)

    # --- logged receipts

    def _logged(self, receipt: Logged) -> None:
        with self._trail.check("receipt-logged", receipt.id, at=f"receipt {receipt.id}"):
            head = self._open_head(self._tracked.covering_head(receipt), receipt.signer)
            if head.log != receipt.log:
                raise Rejected("log-invalid", f"the head is of log {head.log}")
            proof = self._tracked.inclusion(receipt, head)
            check_inclusion(leaf_hash(receipt.id), receipt.seq, head.log_size, proof, head.log_root)

    def _binding(self, receipt: BindingReceipt) -> None:
        rederivation, place = self._rederivation, f"receipt {receipt.id}"
        with self._trail.check("subject-matches", receipt.id, at=place):
            binding = rederivation.binding(receipt.subject)
            if (binding.name, binding.cid, binding.rev) != (receipt.name, receipt.cid, receipt.rev):
                raise Rejected("receipt-invalid", "its name, content or rev is not the statement's")
        with self._trail.check("ancestry-proved", binding.policy, at=place):
            path = rederivation.ancestry(binding.policy)
            if path[0].id != binding.genesis or path[0].ns != binding.name.namespace:
                raise Rejected("policy-foreign", "the cited policy is of another namespace")
        with self._trail.check("endorsers-proved", receipt.id, at=place):
            rederivation.require_endorsed(binding.statement, receipt.endorsers)
            positions = path[-1].positions(receipt.endorsers, binding.name.handle, binding.name.tag)
            need = path[-1].threshold_for(binding.name.tag)
            if len(positions) != len(receipt.endorsers):
                raise Rejected("receipt-invalid", "it counts an endorser that may not write the name")
            if receipt.state != "pending" and len(positions) < need:
                raise Rejected("receipt-invalid", f"{len(positions)} of {need} endorsements where it is not pending")
        self._trail.note("receipt-state", receipt.id, "stated", receipt.state)

    def _policy(self, receipt: PolicyReceipt) -> None:
        place = f"receipt {receipt.id}"
        with self._trail.check("ancestry-proved", receipt.policy, at=place):
            path = self._rederivation.ancestry(receipt.policy)
        with self._trail.check("subject-matches", receipt.id, at=place):
            if (path[-1].ns, path[-1].seq, path[0].id) != (receipt.ns, receipt.policy_seq, receipt.genesis):
                raise Rejected("receipt-invalid", "its namespace, seq or genesis is not the policy's")
        with self._trail.check("endorsers-proved", receipt.id, at=place):
            self._rederivation.require_endorsed(path[-1].statement, receipt.endorsers)
        self._trail.note("receipt-state", receipt.id, "stated", receipt.state)

    def _open_head(self, cid: Cid, signer: Kid) -> Head:
        """The head ``cid``, of a log that belongs to ``signer``."""
        head = open_head(self._tracked.head(cid))
        genesis = open_log_genesis(self._tracked.log_genesis(head.log))
        if head.id != cid or genesis.id != head.log:
            raise Rejected("bundle-invalid", "another head or log was given")
        if not head.signer == genesis.node == signer:
            raise Rejected("receipt-invalid", "the receipt, its head and its log are not of one node")
        self.heads[cid] = head
        return head


def _examined(contents: Contents, examination: Examination, trail: Trail) -> list[Receipt]:
    """The receipts whose signatures verify, each examined as far as it holds."""
    found: list[Receipt] = []
    for index, (cid, envelope) in enumerate(contents.receipts.items()):
        try:
            with trail.check("receipt-signed", cid, at=f"receipts[{index}]"):
                receipt = open_receipt(envelope)
            found.append(receipt)
            examination.examine(receipt)
        except Stopped:
            continue
    return found


def _check_heads(heads: Sequence[Head], trail: Trail) -> None:
    """No two heads of a log may contradict each other. In order of seq, comparing neighbours finds all that can be."""
    ordered = sorted(heads, key=lambda head: (head.log, head.seq, head.id))
    for one, other in pairwise(ordered):
        if one.log == other.log:
            with trail.check("heads-agree", one.log, at=f"head {other.id}"):
                found = contradiction(one, other)
                if found is not None:
                    raise Rejected("equivocation", f"{found}: {one.id} and {other.id}")


def _judge_trust(
    receipts: Sequence[Receipt],
    consumers: dict[Cid, ConsumerPolicy],
    anchors: Anchors,
    exposed: Collection[Kid],
    trail: Trail,
) -> None:
    """Whether what was derived rests on something the reader trusts.

    A trusted node carries any receipt of its own. A trusted genesis carries what the namespace's own signers say, so
    an answer that names a statement; that something is *not* there only a node can say.
    """
    for receipt in receipts:
        node = did_of(receipt.signer)
        consumer = _consumer_of(receipt, consumers)
        try:
            if consumer is not None and consumer.deny_exposed and receipt.signer in exposed:
                raise Rejected("equivocation", f"{node} signed two truths", subject=node)
            anchors.require_node(receipt.signer)
            trail.note("node-trusted", node, "ok")
            continue
        except HoloError as error:
            detail = str(error)
        signed = isinstance(receipt, ResolveReceipt) and receipt.decision.statement is not None
        if isinstance(receipt, ResolveReceipt) and signed and receipt.decision.genesis in anchors.genesis:
            trail.note("genesis-trusted", receipt.decision.genesis, "ok")
            trail.note("node-trusted", node, "stated", "that nothing newer replaces the statement is this node's word")
        else:
            trail.note("node-trusted", node, "open", detail)
    for receipt in receipts:
        consumer = _consumer_of(receipt, consumers)
        if isinstance(receipt, ResolveReceipt) and consumer is not None:
            trusted = anchors.nodes - set(exposed) if consumer.deny_exposed else anchors.nodes
            _judge_agreement(receipt, consumer.agreeing, receipts, trusted, trail)


def _consumer_of(receipt: Receipt, consumers: dict[Cid, ConsumerPolicy]) -> ConsumerPolicy | None:
    cid = receipt.decision.consumer_policy if isinstance(receipt, ResolveReceipt) else None
    return None if cid is None else consumers.get(cid)


def _judge_agreement(
    receipt: ResolveReceipt, demanded: int, receipts: Sequence[Receipt], trusted: Collection[Kid], trail: Trail
) -> None:
    decision = receipt.decision.as_statement()
    agreeing = {
        other.signer
        for other in receipts
        if isinstance(other, ResolveReceipt) and other.decision.as_statement().id == decision.id
    }.intersection(trusted)
    if demanded > 1:
        verdict: Verdict = "ok" if len(agreeing) >= demanded else "open"
        trail.note("nodes-agree", decision.id, verdict, f"{len(agreeing)} of {demanded}")
