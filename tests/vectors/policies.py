"""Vectors of sections 2.1 and 2.2: policies by themselves, and one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from holo.core import limits
from holo.core.cid import RAW, Cid
from holo.core.envelope import Record, make_record, make_statement
from holo.core.keys import did_of
from holo.core.policy import Policy, parse_policy
from tests.records import EVERYTHING, key, kid, policy_record
from tests.vectors.form import Group, changed, envelopes, opened, signed


def policies() -> Group:
    group = Group("policies", "Policies by themselves (2.1): their form, opened from a record.")
    full = _full_policy()
    for name, record in (
        ("genesis", policy_record("acme")),
        ("nobody-may-sign", policy_record("acme", signers={})),
        ("full", make_record(make_statement(full), key("root"))),
    ):
        group.valid(name, "open-policy", opened(record), envelopes=envelopes(record))
    for name, code, change, value in _bad_policies(full):
        group.invalid(name, "open-policy", code, "full", change, envelopes=signed(value, "root"))
    return group


def _full_policy() -> dict[str, Any]:
    parent = parse_policy(policy_record("acme").statement)
    record = policy_record(
        "acme",
        parent,
        roots=("root", "root2"),
        root_threshold=2,
        recovery=("recovery", "recovery2", "recovery3"),
        recovery_threshold=2,
        signers={"alice": EVERYTHING, "bob": (("team/*", "app"), ("v1.*", "stable"))},
        thresholds=((("stable", "v*"), 2), (("*",), 1)),
        seal=parent.id,  # any link to an object will do for the form
    )
    value = dict(record.statement.value)
    rule = {"issuer": "https://issuer.example", "audience": "holo", "key": bytes(kid("ci")), "claims": {"sub": "main"}}
    return {**value, "oidc": [rule], "issuers": [bytes(kid("issuer"))], "ceilings": {"publish.per_minute": 60}}


def _bad_policies(full: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    for name in full:
        if name not in ("v", "type"):
            yield f"no-{name}", "field-missing", f"without {name}", changed(full, [name])
    yield "unknown-field", "field-unknown", "another field", {**full, "more": None}
    for place in (["roots"], ["signers", 0], ["thresholds", 0], ["oidc", 0]):
        where = "-".join(map(str, place))
        yield f"unknown-field-in-{where}", "field-unknown", f"another field in {where}", changed(full, [*place, "x"], 0)
    small = b"\xed\x01" + bytes(32)
    root, recovery = bytes(kid("root")), bytes(kid("recovery"))
    many = [bytes(kid(f"k{n}")) for n in range(limits.ROOT_KEYS + 1)]
    glob_list = ["x"] * (limits.GLOBS_PER_SIGNER + 1)
    field = "field-invalid"
    for name, code, path, new in (
        ("ns-not-text", field, ["ns"], b"acme"),
        ("ns-not-a-namespace", "name-invalid", ["ns"], "Acme"),
        ("seq-negative", field, ["seq"], -1),
        ("seq-text", field, ["seq"], "1"),
        ("seq-zero-with-prev", "policy-invalid", ["seq"], 0),
        ("prev-null", "policy-invalid", ["prev"], None),
        ("prev-bytes", field, ["prev"], b"x"),
        ("roots-empty", field, ["roots", "keys"], []),
        ("roots-33", field, ["roots", "keys"], many),
        ("roots-twice", field, ["roots", "keys"], [root, root]),
        ("root-of-small-order", "key-invalid", ["roots", "keys", 0], small),
        ("root-too-short", "key-invalid", ["roots", "keys", 0], root[:-1]),
        ("root-as-text", field, ["roots", "keys", 0], did_of(kid("root"))),
        ("threshold-zero", field, ["roots", "threshold"], 0),
        ("threshold-above-keys", field, ["roots", "threshold"], 3),
        ("threshold-true", field, ["roots", "threshold"], True),
        ("recovery-empty", field, ["recovery", "keys"], []),
        ("recovery-holds-a-root", "policy-invalid", ["recovery", "keys", 0], root),
        ("signers-a-map", field, ["signers"], {}),
        ("signer-without-handles", field, ["signers", 0, "handles"], []),
        ("signer-with-65-globs", field, ["signers", 0, "tags"], glob_list),
        ("signer-with-a-bad-glob", "glob-invalid", ["signers", 0, "tags", 0], "a**"),
        ("signer-twice", "policy-invalid", ["signers", 1, "key"], bytes(kid("alice"))),
        ("signer-key-small", "key-invalid", ["signers", 0, "key"], small),
        ("threshold-of-no-tags", field, ["thresholds", 0, "tags"], []),
        ("threshold-count-zero", field, ["thresholds", 0, "count"], 0),
        ("threshold-count-97", field, ["thresholds", 0, "count"], limits.ENDORSEMENTS_PER_RECORD + 1),
        ("threshold-empty-glob", "glob-invalid", ["thresholds", 0, "tags", 0], ""),
        ("oidc-claims-not-texts", field, ["oidc", 0, "claims", "sub"], 1),
        ("oidc-issuer-too-long", field, ["oidc", 0, "issuer"], "i" * (limits.OIDC_TEXT_BYTES + 1)),
        ("oidc-claim-too-long-in-bytes", field, ["oidc", 0, "claims", "sub"], "ü" * (limits.OIDC_CLAIM_BYTES // 2)),
        ("issuer-twice", field, ["issuers"], [recovery, recovery]),
        ("ceiling-negative", field, ["ceilings", "publish.per_minute"], -1),
        ("ceilings-a-list", field, ["ceilings"], []),
        ("seal-not-a-link", field, ["seal"], "x"),
        ("seal-of-codec-raw", field, ["seal"], Cid.of(RAW, b"")),
    ):
        where = ".".join(map(str, path))
        yield name, code, f"{where} is changed", changed(full, path, new)
    sealed = {**full, "seq": 0, "prev": None}
    yield "genesis-with-a-seal", "policy-invalid", "seq 0 and prev null", sealed
    yield "version-2", "version-unsupported", "v = 2", {**full, "v": 2}
    yield "other-type", "type-mismatch", "another type", {**full, "type": "binding"}


def steps() -> Group:
    group = Group(
        "policy-steps",
        "One policy after another (2.2). `chain` holds the payloads of all ancestors, genesis first; `counted` are the "
        "endorsers that count.",
    )
    made = _Steps(group)
    made.genesis()
    made.plain()
    made.roots_and_recovery()
    made.unsealed()
    return group


class _Steps:
    def __init__(self, group: Group) -> None:
        self.group = group

    def good(self, name: str, chain: Sequence[Policy], record: Record, *counted: str) -> None:
        result = {"id": str(record.statement.id), "counted": sorted(did_of(kid(who)) for who in counted)}
        self.group.valid(name, "step-policy", result, chain=_payloads(chain), envelopes=envelopes(record))

    def bad(self, name: str, code: str, of: str, change: str, chain: Sequence[Policy], record: Record) -> None:
        self.group.invalid(name, "step-policy", code, of, change, chain=_payloads(chain), envelopes=envelopes(record))

    def genesis(self) -> None:
        two: dict[str, Any] = {"roots": ("root", "root2", "root3"), "root_threshold": 2}
        self.good("genesis", [], policy_record("acme", **two, by=("root", "root3")), "root", "root3")
        also = policy_record("acme", **two, by=("root", "root2", "recovery", "mallory"))
        self.good("genesis-endorsed-by-others-too", [], also, "root", "root2")
        change = "one root less"
        self.bad("genesis-incomplete", "policy-incomplete", "genesis", change, [], policy_record("acme", **two))
        stranger = policy_record("acme", **two, by=("root", "mallory"))
        self.bad("genesis-by-a-stranger", "policy-incomplete", "genesis", "a stranger for a root", [], stranger)
        by_recovery = policy_record("acme", **two, by=("root", "recovery"))
        self.bad("genesis-by-recovery", "policy-incomplete", "genesis", "recovery for a root", [], by_recovery)

    def plain(self) -> None:
        first = parse_policy(policy_record("acme").statement)
        self.good("same-again", [first], policy_record("acme", first), "root")
        by = ("root", "recovery", "alice", "mallory")
        self.good("endorsed-by-recovery-too", [first], policy_record("acme", first, by=by), "root", "recovery")
        second = parse_policy(policy_record("acme", first, recovery=("recovery2",)).statement)
        third = policy_record("acme", second, recovery=("recovery2",), by=("root", "recovery", "recovery2"))
        self.good("endorsed-by-recovery-of-an-ancestor", [first, second], third, "root", "recovery", "recovery2")
        by_stranger = policy_record("acme", first, by=("mallory",))
        self.bad("by-a-stranger", "policy-incomplete", "same-again", "signed by a stranger", [first], by_stranger)
        by_signer = policy_record("acme", first, by=("alice",))
        self.bad("by-a-signer", "policy-incomplete", "same-again", "signed by a signer", [first], by_signer)
        skipping = make_record(
            make_statement(changed(policy_record("acme", first).statement.value, ["seq"], 2)), key("root")
        )
        self.bad("seq-skipped", "policy-seq-invalid", "same-again", "seq is 2", [first], skipping)
        moved = make_record(
            make_statement(changed(policy_record("acme", first).statement.value, ["ns"], "other")), key("root")
        )
        self.bad("another-namespace", "policy-foreign", "same-again", "another ns", [first], moved)
        many = [f"recovery{n}" for n in range(limits.ROOT_KEYS)]
        chain = [first]
        for number in range(4):
            names = [f"{number}.{name}" for name in many]
            chain.append(parse_policy(policy_record("acme", chain[-1], recovery=names).statement))
        last = chain[-1]
        nearest, oldest = f"3.{many[0]}", f"0.{many[0]}"
        again: dict[str, Any] = {"recovery": [f"3.{name}" for name in many]}
        record = policy_record("acme", last, **again, by=("root", nearest, oldest))
        self.good("only-96-keys-count", chain, record, "root", nearest)

    def roots_and_recovery(self) -> None:
        first = parse_policy(policy_record("acme", recovery=("recovery", "recovery2"), recovery_threshold=2).statement)
        kept: dict[str, Any] = {"recovery": ("recovery", "recovery2"), "recovery_threshold": 2}
        new: dict[str, Any] = {**kept, "roots": ("new",)}
        everybody = ("root", "new", "recovery", "recovery2")
        self.good("new-root", [first], policy_record("acme", first, **new, by=everybody), *everybody)
        for missing in ("root", "new", "recovery2"):
            by = tuple(who for who in everybody if who != missing)
            record = policy_record("acme", first, **new, by=by)
            self.bad(
                f"new-root-without-{missing}", "policy-incomplete", "new-root", f"without {missing}", [first], record
            )
        more: dict[str, Any] = {**kept, "roots": ("root", "root2")}
        by = ("root", "recovery", "recovery2")
        self.good("root-added", [first], policy_record("acme", first, **more, by=by), *by)
        record = policy_record("acme", first, **more, by=("root", "root2"))
        self.bad("root-added-without-recovery", "policy-incomplete", "root-added", "without recovery", [first], record)
        changes: dict[str, Any] = {"recovery": ("recovery2", "recovery"), "recovery_threshold": 2}
        self.good("recovery-reordered", [first], policy_record("acme", first, **changes, by=by), *by)
        record = policy_record("acme", first, **changes, by=("root",))
        change = "without recovery"
        self.bad("recovery-reordered-by-roots", "policy-incomplete", "recovery-reordered", change, [first], record)
        lower: dict[str, Any] = {"recovery": ("recovery", "recovery2"), "recovery_threshold": 1}
        self.good("recovery-threshold-lowered", [first], policy_record("acme", first, **lower, by=by), *by)
        record = policy_record("acme", first, **lower, by=("root", "recovery"))
        change = "one recovery key less"
        self.bad("recovery-half", "policy-incomplete", "recovery-threshold-lowered", change, [first], record)

    def unsealed(self) -> None:
        alice, bob = ("alice", EVERYTHING), ("bob", EVERYTHING)
        base: dict[str, Any] = {"signers": dict([alice, bob]), "thresholds": ((("v*",), 3), (("stable",), 2))}
        first = parse_policy(policy_record("acme", **base).statement)
        seal = first.id

        def child(**fields: Any) -> Record:
            return policy_record("acme", first, **{**base, **fields})

        self.good("signer-appended", [first], child(signers=dict([alice, bob, ("carol", EVERYTHING)])), "root")
        self.good("thresholds-lowered", [first], child(thresholds=((("stable",), 1),)), "root")
        covered = child(thresholds=((("v1.*", "v2"), 3), (("stable",), 2)))
        self.good("narrower-globs", [first], covered, "root")
        self.good("lower-on-wider-cover", [first], child(thresholds=((("vx",), 2), (("*",), 1))), "root")
        self.good("seal-lets-signers-go", [first], child(signers=dict([bob]), seal=seal), "root")
        self.good("seal-lets-thresholds-rise", [first], child(thresholds=((("*",), 5),), seal=seal), "root")
        code = "policy-seal-required"
        for name, of, change, record in (
            ("signer-removed", "seal-lets-signers-go", "no seal", child(signers=dict([alice]))),
            ("signers-reordered", "signer-appended", "another order", child(signers=dict([bob, alice]))),
            (
                "signer-narrowed", "signer-appended", "other globs",
                child(signers={"alice": (("app",), ("*",)), "bob": EVERYTHING}),
            ),
            (
                "signer-inserted", "signer-appended", "at the front",
                child(signers=dict([("carol", EVERYTHING), alice, bob])),
            ),
            ("threshold-raised", "thresholds-lowered", "stable needs 3", child(thresholds=((("stable",), 3),))),
            ("threshold-for-more-tags", "narrower-globs", "for every tag", child(thresholds=((("*",), 2),))),
            (
                "covered-only-together", "narrower-globs", "a glob that two cover together",
                child(thresholds=((("st*",), 2),)),
            ),
            ("threshold-new", "thresholds-lowered", "dev needs 2", child(thresholds=((("dev",), 2),))),
        ):  # fmt: skip
            self.bad(name, code, of, change, [first], record)


def _payloads(chain: Sequence[Policy]) -> list[str]:
    return [item.statement.bytes.hex() for item in chain]
