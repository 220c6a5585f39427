"""Vectors of sections 2.5 and 2.9: bindings and who may sign them, and consumer policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from holo.core import limits, policy
from holo.core.consumer import make_consumer_policy
from holo.core.envelope import make_record, make_statement
from holo.core.policy import Policy, parse_policy
from tests.records import EVERYTHING, binding_record, content, key, kid, policy_record
from tests.vectors.form import Group, changed, dag_json, envelopes, opened, signed


def bindings() -> Group:
    group = Group("bindings", "Bindings (2.5): their form, and whose endorsements count under the policy they cite.")
    genesis = parse_policy(
        policy_record(
            "acme",
            signers={"alice": EVERYTHING, "bob": (("team/*",), ("v1.*", "dev")), "carol": (("app",), ("*",))},
            thresholds=((("stable", "v1.*"), 2), (("v*",), 1)),
        ).statement
    )
    full = _full_binding(genesis)
    plain = binding_record(genesis.id, genesis.id, "acme/app:dev", content("one"))
    group.valid("plain", "open-binding", opened(plain), envelopes=envelopes(plain))
    for name, value in (
        ("full", full),
        ("yank", {**full, "cid": None}),
        ("greatest-rev", {**full, "rev": limits.INT_MAX}),
        ("no-prev", {**full, "prev": []}),
    ):
        record = make_record(make_statement(value), key("alice"))
        group.valid(name, "open-binding", opened(record), envelopes=envelopes(record))
    for name, code, change, value in _bad_bindings(full):
        group.invalid(name, "open-binding", code, "full", change, envelopes=signed(value, "alice"))
    _judgements(group, genesis)
    return group


def _full_binding(genesis: Policy) -> dict[str, Any]:
    record = binding_record(genesis.id, genesis.id, "acme/team/app:v1.2", content("two"), rev=7)
    return {
        **record.statement.value,
        "prev": [content("a"), content("b")],
        "meta": {"size": 3, "media_type": "text/plain", "summary": "Résumé"},
        "reason": "because",
        "source": {"repository": "acme/app", "ref": "refs/heads/main"},
    }


def _bad_bindings(full: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    for name in full:
        if name not in ("v", "type", "reason", "source"):
            yield f"no-{name}", "field-missing", f"without {name}", changed(full, [name])
    yield "unknown-field", "field-unknown", "another field", {**full, "more": None}
    yield "unknown-field-in-meta", "field-unknown", "another field in meta", changed(full, ["meta", "more"], 1)
    field, link = "field-invalid", content("a")
    for name, code, path, new in (
        ("rev-zero", field, ["rev"], 0),
        ("rev-true", field, ["rev"], True),
        ("prev-three", field, ["prev"], [content("a"), content("b"), content("c")]),
        ("prev-twice", field, ["prev"], [link, link]),
        ("prev-not-links", field, ["prev"], [bytes(link)]),
        ("prev-null", field, ["prev"], None),
        ("cid-bytes", field, ["cid"], bytes(link)),
        ("genesis-null", field, ["genesis"], None),
        ("policy-text", field, ["policy"], str(link)),
        ("at-negative", field, ["at_ms"], -1),
        ("handle-bad", "name-invalid", ["handle"], "App"),
        ("handle-empty", "name-invalid", ["handle"], ""),
        ("tag-bad", "name-invalid", ["tag"], "a/b"),
        ("tag-empty", "name-invalid", ["tag"], ""),
        ("ns-bad", "name-invalid", ["ns"], "acme/"),
        ("handle-too-long", field, ["handle"], "a" * (limits.HANDLE_AND_TAG_BYTES + 1)),
        ("meta-a-list", field, ["meta"], []),
        ("size-negative", field, ["meta", "size"], -1),
        ("media-type-too-long", field, ["meta", "media_type"], "t" * (limits.MEDIA_TYPE_BYTES + 1)),
        ("summary-too-long-in-bytes", field, ["meta", "summary"], "ü" * (limits.SUMMARY_BYTES // 2 + 1)),
        ("reason-null", field, ["reason"], None),
        ("reason-too-long", field, ["reason"], "r" * (limits.REASON_BYTES + 1)),
        ("source-not-texts", field, ["source", "ref"], 1),
        ("source-too-long-in-bytes", field, ["source", "ref"], "ü" * (limits.SOURCE_BYTES // 2)),
    ):
        yield name, code, f"{'.'.join(path)} is changed", changed(full, path, new)
    yield "version-2", "version-unsupported", "v = 2", {**full, "v": 2}
    yield "other-type", "type-mismatch", "another type", {**full, "type": "policy"}


def _judgements(group: Group, genesis: Policy) -> None:
    payload = genesis.statement.bytes.hex()

    def judged(name: str, where: str, by: Sequence[str], positions: list[int], need: int) -> None:
        record = binding_record(genesis.id, genesis.id, f"acme/{where}", content("x"), by=by)
        result = {"positions": positions, "need": need, "complete": len(positions) >= need}
        group.valid(name, "judge-binding", result, policy=payload, envelopes=envelopes(record))

    judged("one-of-one", "app:dev", ["alice"], [0], 1)
    judged("two-of-two", "app:stable", ["carol", "alice"], [0, 2], 2)
    judged("one-of-two", "app:stable", ["carol"], [2], 2)
    judged("highest-threshold-counts", "team/app:v1.2", ["bob"], [1], 2)
    judged("lower-threshold-elsewhere", "app:v2", ["carol"], [2], 1)
    judged("others-are-dropped", "app:stable", ["alice", "bob", "mallory"], [0], 2)
    judged("more-than-needed", "app:dev", ["alice", "carol", "mallory"], [0, 2], 1)
    judged("handle-glob-below", "team/a/b:dev", ["bob"], [1], 1)
    for name, of, change, where, by in (
        ("handle-not-allowed", "handle-glob-below", "a handle outside the glob", "team:dev", ["bob"]),
        ("tag-not-allowed", "handle-glob-below", "a tag outside the globs", "team/a:stable", ["bob"]),
        ("stranger", "one-of-one", "signed by a stranger", "app:dev", ["mallory"]),
        ("root-is-no-signer", "one-of-one", "signed by a root", "app:dev", ["root"]),
    ):
        record = binding_record(genesis.id, genesis.id, f"acme/{where}", content("x"), by=by)
        group.invalid(
            name, "judge-binding", "signer-not-allowed", of, change, policy=payload, envelopes=envelopes(record)
        )


def consumers() -> Group:
    group = Group("consumer-policies", "Consumer policies (2.9): their form.")
    full = make_consumer_policy(
        min_signers=2,
        allow_cids=[content("one"), content("two")],
        deny_cids=[content("three")],
        allow_signers=[kid("alice"), kid("bob"), kid("carol")],
        deny_signers=[kid("mallory")],
        allow_forks=True,
        genesis={"acme": parse_policy(policy_record("acme").statement).id},
        agreeing=3,
    )
    denying = make_consumer_policy(deny_exposed=True)
    for name, statement in (("undemanding", make_consumer_policy()), ("full", full), ("deny-exposed", denying)):
        result = {"id": str(statement.id), "value": dag_json(statement.value)}
        group.valid(name, "decode-consumer-policy", result, bytes=statement.bytes.hex())
    value = dict(full.value)
    link, who = content("one"), bytes(kid("alice"))
    cases: list[tuple[str, str, str, dict[str, Any]]] = [
        (f"no-{name}", "field-missing", f"without {name}", changed(value, [name]))
        for name in value
        if name not in ("v", "type")
    ]
    cases.append(("unknown-field", "field-unknown", "another field", {**value, "more": 1}))
    for name, code, path, new in (
        ("min-signers-zero", "field-invalid", ["min_signers"], 0),
        ("cid-twice", "field-invalid", ["allow_cids"], [link, link]),
        ("cid-not-a-link", "field-invalid", ["deny_cids"], ["x"]),
        ("signer-twice", "field-invalid", ["allow_signers"], [who, who]),
        ("signer-not-a-key", "key-invalid", ["deny_signers"], [who[:-1]]),
        ("deny-exposed-false", "field-invalid", ["deny_exposed"], False),
        ("deny-exposed-one", "field-invalid", ["deny_exposed"], 1),
        ("allow-forks-null", "field-invalid", ["allow_forks"], None),
        ("allow-forks-one", "field-invalid", ["allow_forks"], 1),
        ("genesis-a-list", "field-invalid", ["genesis"], []),
        ("genesis-not-a-link", "field-invalid", ["genesis", "acme"], None),
        ("genesis-of-no-namespace", "name-invalid", ["genesis", "Acme"], link),
        ("agreeing-zero", "field-invalid", ["agreeing"], 0),
        ("agreeing-65", "field-invalid", ["agreeing"], limits.AGREEING_NODES + 1),
        ("too-many-cids", "field-invalid", ["allow_cids"], [content(str(n)) for n in range(limits.CONSUMER_CIDS + 1)]),
        ("version-2", "version-unsupported", ["v"], 2),
        ("other-type", "type-mismatch", ["type"], policy.TYPE),
    ):
        cases.append((name, code, f"{'.'.join(path)} is changed", changed(value, path, new)))
    for name, code, change, bad in cases:
        data = make_statement(bad).bytes.hex()
        group.invalid(name, "decode-consumer-policy", code, "full", change, bytes=data)
    return group
