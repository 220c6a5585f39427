"""Vectors of sections 3.5, 3.6 and 5: namespace states, catalogs, heads, logs and receipts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from holo.core import limits, log, tree
from holo.core.binding import parse_binding
from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.decision import Query
from holo.core.envelope import Statement, make_statement
from holo.core.head import contradiction, make_head, make_log_genesis, open_head, sign
from holo.core.keys import did_of
from holo.core.log import EMPTY_ROOT
from holo.core.names import Name
from holo.core.peer_receipts import KINDS, Agreed, make_convergence_receipt, make_evidence_receipt
from holo.core.policy import parse_policy
from holo.core.receipt import make_binding_receipt, make_denial_receipt, make_policy_receipt, make_resolve_receipt
from holo.core.resolve import decide
from holo.core.state import Catalog, NamespaceState
from tests.records import AT_MS, binding_record, content, key, kid, policy_record
from tests.vectors.form import Group, Json, changed, dag_json, flipped, signed

LOG = make_log_genesis(node=kid("node"), nonce=bytes(range(16)))
CATALOG = Catalog(tree.EMPTY, tree.EMPTY).as_statement()
ROOT_OF_ONE = log.leaf_hash(content("a receipt"))


def groups() -> Iterator[Group]:
    """Every group of these sections."""
    yield _states()
    yield _catalogs()
    yield _heads()
    yield _logs()
    yield _receipts()


def _link(text: str) -> Cid:
    return Cid.of(DAG_CBOR, text.encode())


def _bad_fields(value: Mapping[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """The faults that every object can have."""
    for name in value:
        if name not in ("v", "type"):
            yield f"no-{name}", "field-missing", f"without {name}", changed(value, [name])
    yield "unknown-field", "field-unknown", "another field", {**value, "more": 1}
    yield "version-2", "version-unsupported", "v = 2", {**value, "v": 2}
    yield "other-type", "type-mismatch", "another type", {**value, "type": "policy"}


# ------------------------------------------------------------------------------------------ states and catalogs


def _states() -> Group:
    group = Group("namespace-states", "Namespace states (3.5): their form. What they have to say is in `merges`.")
    plain = NamespaceState("acme", _link("genesis"), _link("policy"), None, tree.EMPTY, tree.EMPTY, tree.EMPTY, 0)
    seal = NamespaceState(
        "acme", _link("genesis"), _link("p"), ("seal", _link("q")), tree.EMPTY, _link("b"), _link("w"), 7
    )
    rivals = NamespaceState(
        "acme", _link("genesis"), _link("p"), ("rivals", _link("p")), _link("a"), _link("b"), _link("w"), 7
    )
    for name, state in (("plain", plain), ("held-by-a-seal", seal), ("held-by-rivals", rivals)):
        _unsigned(group, name, "decode-namespace-state", state.as_statement())
    value = seal.as_statement().value
    bad = list(_bad_fields(value))
    for name, code, path, new in (
        ("ns-bad", "name-invalid", ["ns"], "Acme"),
        ("genesis-null", "field-invalid", ["genesis"], None),
        ("held-for-another-reason", "field-invalid", ["held", 0], "quota"),
        ("held-without-a-policy", "field-invalid", ["held"], ["seal"]),
        ("held-by-text", "field-invalid", ["held"], "seal"),
        ("held-policy-as-text", "field-invalid", ["held", 1], "x"),
        ("root-of-codec-raw", "field-invalid", ["bindings"], Cid.of(RAW, b"")),
        ("root-null", "field-invalid", ["policies"], None),
        ("count-negative", "field-invalid", ["count"], -1),
    ):
        bad.append((name, code, f"{'.'.join(map(str, path))} is changed", changed(value, path, new)))
    _bad_unsigned(group, "decode-namespace-state", "held-by-a-seal", bad)
    return group


def _catalogs() -> Group:
    group = Group("catalogs", "Catalogs (3.5): their form.")
    _unsigned(group, "empty", "decode-catalog", CATALOG)
    full = Catalog(_link("namespaces"), _link("evidence")).as_statement()
    _unsigned(group, "full", "decode-catalog", full)
    bad = list(_bad_fields(full.value))
    for name, path, new in (
        ("root-of-codec-raw", ["namespaces"], Cid.of(RAW, b"")),
        ("root-null", ["evidence"], None),
        ("root-as-text", ["namespaces"], str(tree.EMPTY)),
    ):
        bad.append((name, "field-invalid", f"{path[0]} is changed", changed(full.value, path, new)))
    _bad_unsigned(group, "decode-catalog", "full", bad)
    return group


def _unsigned(group: Group, name: str, op: str, statement: Statement) -> None:
    result = {"id": str(statement.id), "value": dag_json(statement.value)}
    group.valid(name, op, result, bytes=statement.bytes.hex())


def _bad_unsigned(group: Group, op: str, of: str, bad: list[tuple[str, str, str, dict[str, Any]]]) -> None:
    for name, code, change, value in bad:
        group.invalid(name, op, code, of, change, bytes=make_statement(value).bytes.hex())


# ------------------------------------------------------------------------------------------ heads


def _head(seq: int, prev: Cid | None, size: int, root: bytes, **more: Any) -> Statement:
    return make_head(
        log=LOG.id, seq=seq, prev=prev, catalog=CATALOG.id, log_size=size, log_root=root, at_ms=AT_MS, **more
    )


def _opened(statement: Statement, signer: str = "node") -> Json:
    return {"id": str(statement.id), "signer": did_of(kid(signer)), "value": dag_json(statement.value)}


def _heads() -> Group:
    group = Group("heads", "Log-geneses and heads (3.6), and which pairs of heads contradict each other.")
    again = make_log_genesis(node=kid("node"), nonce=bytes(16), prev_log=LOG.id, prev_head=_link("head"))
    early = make_log_genesis(node=kid("node"), nonce=bytes(16), prev_log=LOG.id)
    for name, statement in (("log", LOG), ("log-after-another", again), ("log-after-one-without-heads", early)):
        group.valid(name, "open-receipt", _opened(statement), envelope=sign(statement, key("node")).hex())
    first = _head(0, None, 0, EMPTY_ROOT)
    second = _head(1, first.id, 1, ROOT_OF_ONE)
    for name, statement in (("first-head", first), ("second-head", second)):
        group.valid(name, "open-receipt", _opened(statement), envelope=sign(statement, key("node")).hex())
    for of, value, more in (
        (
            "log-after-another", again.value,
            (
                ("other-node", "receipt-invalid", ["node"], bytes(kid("alice"))),
                ("node-small", "key-invalid", ["node"], b"\xed\x01" + bytes(32)),
                ("nonce-short", "field-invalid", ["nonce"], bytes(15)),
                ("head-without-log", "receipt-invalid", ["prev_log"], None),
                ("prev-log-as-text", "field-invalid", ["prev_log"], "x"),
            ),
        ),
        (
            "second-head", second.value,
            (
                ("prev-null", "receipt-invalid", ["prev"], None),
                ("seq-zero-with-prev", "receipt-invalid", ["seq"], 0),
                ("seq-negative", "field-invalid", ["seq"], -1),
                ("empty-log-with-a-root", "receipt-invalid", ["log_size"], 0),
                ("one-receipt-with-the-empty-root", "receipt-invalid", ["log_root"], EMPTY_ROOT),
                ("root-short", "field-invalid", ["log_root"], bytes(31)),
                ("catalog-null", "field-invalid", ["catalog"], None),
                ("log-as-bytes", "field-invalid", ["log"], bytes(LOG.id)),
                ("at-negative", "field-invalid", ["at_ms"], -1),
            ),
        ),
    ):  # fmt: skip
        bad = [(name, code, f"{path[0]} is changed", changed(value, path, new)) for name, code, path, new in more]
        for name, code, change, wrong in (*_bad_fields(value), *bad):
            if name == "other-type":
                continue  # every type of receipt is expected here
            (envelope,) = signed(wrong, "node")
            group.invalid(f"{of}-{name}", "open-receipt", code, of, change, envelope=envelope)
    broken = flipped(sign(second, key("node")), -1).hex()
    change = "one bit of the signature"
    group.invalid("second-head-signature", "open-receipt", "signature-invalid", "second-head", change, envelope=broken)
    _contradictions(group, first, second)
    return group


def _contradictions(group: Group, first: Statement, second: Statement) -> None:
    other_root = log.leaf_hash(b"another receipt")
    third = _head(2, second.id, 3, bytes(32))
    for name, contradict, one, other in (
        ("one-head", False, (second, "node"), (second, "node")),
        ("in-a-row", False, (first, "node"), (second, "node")),
        ("apart", False, (first, "node"), (third, "node")),
        ("two-heads-of-one-seq", True, (second, "node"), (_head(1, first.id, 1, other_root), "node")),
        ("prev-is-another", True, (first, "node"), (_head(1, _link("x"), 1, ROOT_OF_ONE), "node")),
        ("log-shrank", True, (third, "node"), (_head(4, _link("x"), 2, bytes(32)), "node")),
        ("two-roots-of-one-size", True, (second, "node"), (_head(3, _link("x"), 1, other_root), "node")),
        ("two-signers", False, (second, "node"), (_head(1, first.id, 1, other_root), "alice")),
    ):
        heads = [sign(statement, key(signer)) for statement, signer in (one, other)]
        assert (contradiction(*map(open_head, heads)) is not None) == contradict, name
        group.valid(name, "compare-heads", {"contradict": contradict}, one=heads[0].hex(), other=heads[1].hex())


# ------------------------------------------------------------------------------------------ logs


def _logs() -> Group:
    group = Group("logs", "The log as a tree (5.3): roots, inclusion and consistency proofs, after RFC 9162.")
    leaves = [content(str(number)) for number in range(20)]
    hashes: dict[tuple[int, int], bytes] = {}
    for number, leaf in enumerate(leaves):
        for level, index, value in log.append(number, log.leaf_hash(leaf), lambda level, index: hashes[level, index]):
            hashes[level, index] = value

    def root(size: int) -> bytes:
        return log.root(size, lambda level, index: hashes[level, index])

    for size in (0, 1, 2, 3, 7, 8, 20):
        group.valid(
            f"root-of-{size}", "log-root", {"root": root(size).hex()}, leaves=[leaf.hex() for leaf in leaves[:size]]
        )
    for index, size in ((0, 1), (0, 2), (1, 2), (2, 3), (0, 7), (6, 7), (4, 8), (7, 8), (16, 20), (19, 20)):
        proof = log.inclusion_proof(index, size, lambda level, at: hashes[level, at])
        group.valid(
            f"leaf-{index}-of-{size}",
            "check-inclusion",
            {},
            **_inclusion(leaves[index], index, size, proof, root(size)),
        )
    for old, new in ((0, 0), (0, 5), (1, 1), (1, 2), (2, 3), (3, 7), (4, 8), (7, 8), (8, 20), (11, 20), (20, 20)):
        proof = log.consistency_proof(old, new, lambda level, at: hashes[level, at])
        group.valid(
            f"from-{old}-to-{new}", "check-consistency", {}, **_consistency(old, root(old), new, root(new), proof)
        )
    proof = log.inclusion_proof(4, 8, lambda level, at: hashes[level, at])
    for name, change, more in (
        ("another-leaf", "another leaf", (leaves[5], 4, 8, proof, root(8))),
        ("another-index", "another index", (leaves[4], 5, 8, proof, root(8))),
        ("another-size", "another size", (leaves[4], 4, 5, proof, root(8))),
        ("another-root", "another root", (leaves[4], 4, 8, proof, root(7))),
        ("index-beyond", "an index beyond the size", (leaves[4], 8, 8, proof, root(8))),
        ("hash-missing", "a hash less", (leaves[4], 4, 8, proof[:-1], root(8))),
        ("hash-added", "a hash more", (leaves[4], 4, 8, [*proof, proof[0]], root(8))),
        ("hashes-reversed", "hashes in another order", (leaves[4], 4, 8, proof[::-1], root(8))),
        ("hash-bit", "one bit of a hash", (leaves[4], 4, 8, [flipped(proof[0], 0), *proof[1:]], root(8))),
        ("hash-short", "a hash of 31 bytes", (leaves[4], 4, 8, [proof[0][:-1], *proof[1:]], root(8))),
    ):
        group.invalid(name, "check-inclusion", "log-invalid", "leaf-4-of-8", change, **_inclusion(*more))
    proof = log.consistency_proof(3, 7, lambda level, at: hashes[level, at])
    for name, change, steps in (
        ("another-old-root", "another old root", (3, root(2), 7, root(7), proof)),
        ("another-new-root", "another new root", (3, root(3), 7, root(8), proof)),
        ("old-size-beyond", "sizes the other way round", (7, root(7), 3, root(3), proof)),
        ("another-old-size", "another old size", (4, root(3), 7, root(7), proof)),
        ("step-missing", "a hash less", (3, root(3), 7, root(7), proof[:-1])),
        ("step-added", "a hash more", (3, root(3), 7, root(7), [*proof, proof[0]])),
        ("step-bit", "one bit of a hash", (3, root(3), 7, root(7), [flipped(proof[0], 0), *proof[1:]])),
    ):
        group.invalid(name, "check-consistency", "log-invalid", "from-3-to-7", change, **_consistency(*steps))
    for name, of, change, steps in (
        ("two-roots-of-one-size", "from-20-to-20", "another root", (20, root(20), 20, root(19), [])),
        ("needless-proof", "from-20-to-20", "a hash more", (20, root(20), 20, root(20), [root(1)])),
        ("empty-log-with-a-root", "from-0-to-5", "a root that is not empty", (0, root(1), 5, root(5), [])),
    ):
        group.invalid(f"consistency-{name}", "check-consistency", "log-invalid", of, change, **_consistency(*steps))
    return group


def _inclusion(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> dict[str, Json]:
    return {
        "leaf": leaf.hex(),
        "index": index,
        "size": size,
        "proof": [item.hex() for item in proof],
        "root": root.hex(),
    }


def _consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> dict[str, Json]:
    return {
        "old_size": old, "old_root": old_root.hex(), "new_size": new, "new_root": new_root.hex(),
        "proof": [item.hex() for item in proof],
    }  # fmt: skip


# ------------------------------------------------------------------------------------------ receipts


def _receipts() -> Group:
    group = Group("receipts", "Receipts (5.1, 5.2): their form and signature. Whether they are right is in `bundles`.")
    made = dict(_made_receipts())
    for name, statement in made.items():
        group.valid(name, "open-receipt", _opened(statement), envelope=sign(statement, key("node")).hex())
    for of, faults in _RECEIPT_FAULTS.items():
        value = made[of].value
        bad = [
            (name, code, f"{'.'.join(map(str, path))} is changed", changed(value, path, new))
            for name, code, path, new in faults
        ]
        for name, code, change, wrong in (*_bad_fields(value), *bad):
            if name == "other-type":
                wrong, code = {**value, "type": "binding"}, "type-mismatch"
            (envelope,) = signed(wrong, "node")
            group.invalid(f"{of}-{name}", "open-receipt", code, of, change, envelope=envelope)
    (foreign,) = signed(made["resolve"].value, "alice")
    change = "signed by another key"
    group.invalid("resolve-by-another", "open-receipt", "receipt-invalid", "resolve", change, envelope=foreign)
    broken = flipped(sign(made["current"], key("node")), -1).hex()
    change = "one bit of the signature"
    group.invalid("current-signature", "open-receipt", "signature-invalid", "current", change, envelope=broken)
    exchanged = sign(made["current"], key("node")).replace(bytes(kid("node")), bytes(kid("alice"))).hex()
    change = "another kid over the same signature"
    group.invalid("current-kid", "open-receipt", "signature-invalid", "current", change, envelope=exchanged)
    return group


def _made_receipts() -> Iterator[tuple[str, Statement]]:
    policy = parse_policy(policy_record("acme").statement)
    record = binding_record(policy.id, policy.id, "acme/team/app:v1", content("one"), by=("alice", "bob"))
    binding = parse_binding(record.statement)
    yank = parse_binding(binding_record(policy.id, policy.id, "acme/app:dev", None, rev=2).statement)
    alice, bob = kid("alice"), kid("bob")
    place: dict[str, Any] = {"log": LOG.id, "seq": 0, "at_ms": AT_MS}
    yield (
        "current",
        make_binding_receipt(
            binding, **place, state="current", endorsers=[alice, bob], displaced=[_link("a"), _link("b")]
        ),
    )
    for state in ("forked", "held", "superseded", "pending", "sealed-out", "waiting"):
        yield state, make_binding_receipt(yank, **{**place, "seq": 7}, state=state, endorsers=[alice])
    for state in ("effective", "held", "rival"):
        yield f"policy-{state}", make_policy_receipt(
            policy, **place, genesis=policy.id, state=state, endorsers=[kid("root")],  # type: ignore[arg-type]
        )  # fmt: skip
    yield (
        "denial",
        make_denial_receipt(
            **place,
            action="publish",
            subject=binding.id,
            code="binding-stale",
            rule="rev 1 where 2 is current",
            requester=alice,
        ),
    )
    yield (
        "denial-without-subject",
        make_denial_receipt(**place, action="policy", subject=None, code="too-large", rule="", requester=alice),
    )
    states = [Agreed("acme", policy.id, _link("state")), Agreed("tools", _link("genesis"), _link("state"))]
    yield "convergence", make_convergence_receipt(**place, peer=kid("peer"), cites=None, states=states)
    yield "convergence-citing", make_convergence_receipt(**place, peer=kid("peer"), cites=_link("r"), states=states[:1])
    for kind in KINDS:
        evidence = make_evidence_receipt(**place, subject=kid("mallory"), evidence=_link("evidence"), kind=kind)
        yield f"evidence-{kind}", evidence
    decision = decide(Query(Name.parse("acme/app:dev")), None, None)
    yield (
        "resolve",
        make_resolve_receipt(node=kid("node"), at_ms=AT_MS, decision=decision, catalog=CATALOG.id, head=_link("head")),
    )


_RECEIPT_FAULTS: dict[str, list[tuple[str, str, list[str | int], Any]]] = {
    "current": [
        ("seq-negative", "field-invalid", ["seq"], -1),
        ("state-unknown", "field-invalid", ["state"], "fresh"),
        ("name-with-a-pin", "field-invalid", ["name"], f"acme/team/app:v1@{content('one')}"),
        ("name-not-in-full", "field-invalid", ["name"], "acme/team/app"),
        ("name-bad", "name-invalid", ["name"], "acme/Team"),
        ("rev-zero", "field-invalid", ["rev"], 0),
        ("nobody", "field-invalid", ["endorsers"], []),
        ("endorsers-unsorted", "field-invalid", ["endorsers"], sorted(map(bytes, (kid("alice"), kid("bob"))))[::-1]),
        ("endorser-twice", "field-invalid", ["endorsers"], [bytes(kid("alice"))] * 2),
        ("three-displaced", "field-invalid", ["displaced"], [content("a"), content("b"), content("c")]),
        ("statement-null", "field-invalid", ["statement"], None),
    ],
    "policy-effective": [
        ("state-unknown", "field-invalid", ["state"], "current"),
        ("policy-seq-negative", "field-invalid", ["policy_seq"], -1),
        ("endorser-small", "key-invalid", ["endorsers"], [b"\xed\x01" + bytes(32)]),
    ],
    "denial": [
        ("action-unknown", "field-invalid", ["action"], "pin"),
        ("rule-too-long", "field-invalid", ["rule"], "r" * (limits.DENIAL_RULE_BYTES + 1)),
        ("code-too-long", "field-invalid", ["code"], "c" * (limits.CODE_BYTES + 1)),
        ("requester-as-text", "field-invalid", ["requester"], did_of(kid("alice"))),
    ],
    "convergence": [
        ("peer-itself", "field-invalid", ["peer"], bytes(kid("node"))),
        ("nothing", "field-invalid", ["states"], []),
        ("state-twice", "field-invalid", ["states", 1, 0], "acme"),
        ("states-unsorted", "field-invalid", ["states", 0, 0], "zoo"),
        ("state-null", "field-invalid", ["states", 0, 2], None),
        ("state-of-codec-raw", "field-invalid", ["states", 0, 2], content("x")),
        ("ns-bad", "name-invalid", ["states", 0, 0], "Acme"),
        ("cites-as-text", "field-invalid", ["cites"], "x"),
    ],
    "evidence-heads": [
        ("kind-unknown", "field-invalid", ["kind"], "weather"),
        ("subject-small", "key-invalid", ["subject"], b"\xed\x01" + bytes(32)),
        ("evidence-null", "field-invalid", ["evidence"], None),
    ],
    "resolve": [
        ("decision-a-link", "field-invalid", ["decision"], content("x")),
        ("decision-of-version-2", "version-unsupported", ["decision", "v"], 2),
        ("decision-of-another-type", "type-mismatch", ["decision", "type"], "binding"),
        ("step-unknown", "field-invalid", ["decision", "steps", 0, "code"], "weather"),
        ("outcome-unknown", "field-invalid", ["decision", "outcome"], "maybe"),
        ("head-null", "field-invalid", ["head"], None),
    ],
}
