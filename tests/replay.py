"""What each operation of the golden vectors means, by holo's public functions. Shares nothing with what made them.

An operation takes a vector's input and returns its result, or raises with the code of the refusal.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from holo.core import codec, envelope, head, keys, log, manifest, names, pack, policy, receipt, state, tree
from holo.core.binding import Partial, Standing, judge, mailbox, open_binding, settle, state_of
from holo.core.bundle import verify_bundle
from holo.core.chain import Known, decide_chain
from holo.core.cid import CBOR, DAG_CBOR, RAW, Cid
from holo.core.consumer import decode_consumer_policy
from holo.core.decision import Query, decode_decision
from holo.core.envelope import Record, Statement, open_record
from holo.core.errors import Missing, Rejected
from holo.core.evidence import open_evidence
from holo.core.head import Anchors
from holo.core.ignore import Ignore
from holo.core.keys import SigningKey
from holo.core.names import Name
from holo.core.resolve import Candidate, NamespaceView, decide
from holo.store.ledger import BindingSubmission, Outcome, PolicySubmission, Submission
from holo.store.store import Request, Store
from tests.dag_json import from_dag_json, to_dag_json
from tests.replay_links import LINKS
from tests.replay_peers import PEERS

Json = Any
Operation = Callable[[Mapping[str, Json]], Json]

_DEFAULT_BOUND: Final = 1 << 20
_CODECS: Final = {"raw": RAW, "dag-cbor": DAG_CBOR, "cbor": CBOR}


def _bytes(texts: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def _link(text: str | None) -> Cid | None:
    return None if text is None else Cid.parse(text)


def _dids(kids: Any) -> list[str]:
    return [keys.did_of(kid) for kid in sorted(kids)]


def _require(holds: bool, code: str) -> None:
    if not holds:
        raise Rejected(code)


# ------------------------------------------------------------------------------------------ section 1


def _decode(of: Mapping[str, Json]) -> Json:
    data = bytes.fromhex(of["bytes"])
    value = codec.decode(data, of.get("bound", _DEFAULT_BOUND))
    assert codec.encode(value) == data
    return {"value": to_dag_json(value)}


def _hash(of: Mapping[str, Json]) -> Json:
    data = bytes.fromhex(of["data"])
    cid = Cid.of(_CODECS[of["codec"]], data)
    assert cid.matches(data)
    return {"cid": str(cid)}


def _parse_cid(of: Mapping[str, Json]) -> Json:
    cid = Cid.parse(of["text"])
    assert Cid.from_bytes(bytes(cid)) == cid
    return {"bytes": cid.hex()}


def _derive_key(of: Mapping[str, Json]) -> Json:
    kid = SigningKey(bytes.fromhex(of["seed"])).kid
    return {"kid": kid.hex(), "did": keys.did_of(kid)}


def _verify(of: Mapping[str, Json]) -> Json:
    kid = keys.kid_of(bytes.fromhex(of["kid"]))
    good = keys.verify(kid, bytes.fromhex(of["message"]), bytes.fromhex(of["signature"]))
    _require(good, "signature-invalid")
    return {}


def _sign(of: Mapping[str, Json]) -> Json:
    return {"signature": SigningKey(bytes.fromhex(of["seed"])).sign(bytes.fromhex(of["message"])).hex()}


def _open_record(of: Mapping[str, Json]) -> Json:
    record = open_record(_bytes(of["envelopes"]) * of.get("times", 1), of["type"], of["bound"])
    return {**_opened(record), "payload": record.statement.bytes.hex()}


def _opened(record: Record) -> dict[str, Json]:
    statement = record.statement
    assert envelope.open_record(record.envelopes(), statement.type, _DEFAULT_BOUND).statement == statement
    return {"id": str(statement.id), "value": to_dag_json(statement.value), "endorsers": _dids(record.endorsements)}


def _parse_name(of: Mapping[str, Json]) -> Json:
    name = Name.parse(of["text"])
    assert Name.parse(str(name)) == name
    cid = None if name.cid is None else str(name.cid)
    return {"namespace": name.namespace, "handle": name.handle, "tag": name.tag, "cid": cid}


def _check_glob(of: Mapping[str, Json]) -> Json:
    names.check_glob(of["glob"])
    return {}


# ------------------------------------------------------------------------------------------ section 2


def _step_policy(of: Mapping[str, Json]) -> Json:
    chain = [policy.decode_policy(payload) for payload in _bytes(of["chain"])]
    child, record = policy.open_policy(_bytes(of["envelopes"]))
    if chain:
        policy.check_child(chain[-1], child, record.endorsements)
    else:
        policy.check_genesis(child, record.endorsements)
    counted = policy.counted_keys(child, reversed(chain))
    return {"id": str(child.id), "counted": sorted(keys.did_of(kid) for kid in counted & record.endorsements.keys())}


def _decide_chain(of: Mapping[str, Json]) -> Json:
    known = {}
    for item in of["policies"]:
        parsed = policy.decode_policy(bytes.fromhex(item["payload"]))
        known[parsed.id] = Known(parsed, frozenset(map(keys.parse_did, item["endorsers"])))
    satisfied = {Cid.parse(text) for text in of["satisfied"]}
    chain = decide_chain(Cid.parse(of["genesis"]), known, lambda sealing: sealing.id in satisfied)
    in_effect = chain.policies[: chain.effective + 1]
    held = None if chain.held is None else [chain.held[0], str(chain.held[1])]
    return {"policies": [str(item.id) for item in in_effect], "held": held}


def _judge_binding(of: Mapping[str, Json]) -> Json:
    binding, record = open_binding(_bytes(of["envelopes"]))
    positions, need = judge(binding, policy.decode_policy(bytes.fromhex(of["policy"])), record.endorsements)
    return {"positions": list(positions), "need": need, "complete": len(positions) >= need}


def _settle(of: Mapping[str, Json]) -> Json:
    given = [
        Standing(
            Cid.parse(item["id"]), item["rev"], _link(item["cid"]), Cid.parse(item["policy"]),
            tuple(item["positions"]), keys.parse_did(item["first"]),
        )
        for item in of["statements"]
    ]  # fmt: skip
    current = settle(given)
    assert settle(reversed(given)) == current
    assert settle([*current, *given]) == current
    return {"current": [str(item.id) for item in current], "state": state_of(current) if current else "unbound"}


def _mailbox(of: Mapping[str, Json]) -> Json:
    given = [Partial(Cid.parse(item["id"]), item["rev"]) for item in of["statements"]]
    kept = mailbox(given)
    assert mailbox(reversed(given)) == kept
    return {"kept": [str(item.id) for item in kept]}


def _show_pending(of: Mapping[str, Json]) -> Json:
    waiting = [
        (state.Cited(Cid.parse(statement), tuple(positions)), signers)
        for statement, positions, signers in of["waiting"]
    ]
    return {"shown": [[str(item.statement), list(item.positions)] for item in state.shown_pending(waiting)]}


# ------------------------------------------------------------------------------------------ sections 3 and 5


def _entries(entries: Json) -> dict[bytes, Any]:
    return {bytes.fromhex(key): from_dag_json(value) for key, value in entries}


def _reader(nodes: Mapping[Cid, bytes]) -> tree.Read:
    def read(cid: Cid) -> bytes:
        if cid not in nodes:
            raise Missing("node-missing", str(cid))
        return nodes[cid]

    return read


def _build_tree(of: Mapping[str, Json]) -> Json:
    entries = _entries(of["entries"])
    made = tree.build(reversed(entries.items()))
    read = _reader(made.added)
    assert tree.check_tree(read, made.root) == len(entries)
    assert dict(tree.iterate(read, made.root)) == entries
    result: dict[str, Json] = {"root": str(made.root), "count": len(entries)}
    return {**result, "nodes": [made.added[cid].hex() for cid in sorted(made.added)]}


def _update_tree(of: Mapping[str, Json]) -> Json:
    before = tree.build(_entries(of["entries"]).items())
    made = tree.update(_reader(before.added), before.root, _entries(of["changes"]))
    return {"root": str(made.root), "count": tree.count(_reader({**before.added, **made.added}), made.root)}


def _check_tree(of: Mapping[str, Json]) -> Json:
    nodes = {Cid.of(DAG_CBOR, data): data for data in _bytes(of["nodes"])}
    return {"count": tree.check_tree(_reader(nodes), Cid.parse(of["root"]))}


def _check_proof(of: Mapping[str, Json]) -> Json:
    value = tree.check_proof(Cid.parse(of["root"]), bytes.fromhex(of["key"]), _bytes(of["nodes"]))
    return {"value": to_dag_json(value)}


def _diff_trees(of: Mapping[str, Json]) -> Json:
    one, other = (tree.build(_entries(of[side]).items()) for side in ("before", "after"))
    read = _reader({**one.added, **other.added})
    changes = [[key.hex(), to_dag_json(a), to_dag_json(b)] for key, a, b in tree.diff(read, one.root, read, other.root)]
    fresh = [cid for cid, _ in tree.changed_nodes(read, one.root, read, other.root)]
    return {"changes": changes, "new_nodes": sorted(map(str, fresh))}


def _read_value(of: Mapping[str, Json]) -> Json:
    parsers: dict[str, Callable[[Any], object]] = {
        "bindings": state.parse_current,
        "pending": state.parse_pending,
        "policies": state.parse_endorsers,
        "namespaces": state.parse_state_value,
    }
    parsers[of["tree"]](from_dag_json(of["value"]))
    return {}


def _unsigned(decode: Callable[[bytes], Any], written: Callable[[Any], Statement]) -> Operation:
    """Decoding, and writing again to the same bytes."""

    def operation(of: Mapping[str, Json]) -> Json:
        data = bytes.fromhex(of["bytes"])
        statement = written(decode(data))
        assert statement.bytes == data
        return {"id": str(statement.id), "value": to_dag_json(statement.value)}

    return operation


def _decoded(decode: Callable[[bytes], Any]) -> Operation:
    """Decoding where nothing writes the object again."""

    def operation(of: Mapping[str, Json]) -> Json:
        data = bytes.fromhex(of["bytes"])
        decode(data)
        return {"id": str(Cid.of(DAG_CBOR, data)), "value": to_dag_json(codec.decode(data, _DEFAULT_BOUND))}

    return operation


def _open_receipt(of: Mapping[str, Json]) -> Json:
    found = receipt.open_receipt(bytes.fromhex(of["envelope"]))
    return {"id": str(found.id), "signer": keys.did_of(found.signer), "value": to_dag_json(found.statement.value)}


def _compare_heads(of: Mapping[str, Json]) -> Json:
    one, other = (head.open_head(bytes.fromhex(of[side])) for side in ("one", "other"))
    found = head.contradiction(one, other) is not None
    assert (head.contradiction(other, one) is not None) == found
    return {"contradict": found}


def _log_root(of: Mapping[str, Json]) -> Json:
    hashes: dict[tuple[int, int], bytes] = {}
    leaves = _bytes(of["leaves"])
    for number, leaf in enumerate(leaves):
        for level, index, value in log.append(number, log.leaf_hash(leaf), lambda level, at: hashes[level, at]):
            hashes[level, index] = value
    return {"root": log.root(len(leaves), lambda level, at: hashes[level, at]).hex()}


def _check_inclusion(of: Mapping[str, Json]) -> Json:
    leaf = log.leaf_hash(bytes.fromhex(of["leaf"]))
    log.check_inclusion(leaf, of["index"], of["size"], _bytes(of["proof"]), bytes.fromhex(of["root"]))
    return {}


def _check_consistency(of: Mapping[str, Json]) -> Json:
    old, new = bytes.fromhex(of["old_root"]), bytes.fromhex(of["new_root"])
    log.check_consistency(of["old_size"], old, of["new_size"], new, _bytes(of["proof"]))
    return {}


# ------------------------------------------------------------------------------------------ section 4


def _decide(of: Mapping[str, Json]) -> Json:
    consumer = None if of["consumer"] is None else decode_consumer_policy(bytes.fromhex(of["consumer"]))
    decision = decide(Query(Name.parse(of["name"]), _link(of["policy_ref"])), _view(of["namespace"]), consumer)
    statement = decision.as_statement()
    assert decode_decision(statement.bytes) == decision
    return {"id": str(statement.id), "value": to_dag_json(statement.value)}


def _view(namespace: Json) -> NamespaceView | None:
    if namespace is None:
        return None
    current = []
    for item in namespace["current"]:
        cited = policy.decode_policy(bytes.fromhex(item["policy"]))
        positions = tuple(item["positions"])
        first = cited.signers[positions[0]].key
        standing = Standing(Cid.parse(item["id"]), item["rev"], _link(item["cid"]), cited.id, positions, first)
        current.append(Candidate(standing, cited))
    return NamespaceView(
        genesis=Cid.parse(namespace["genesis"]),
        policy=Cid.parse(namespace["policy"]),
        policy_seq=namespace["policy_seq"],
        policies={Cid.parse(text) for text in namespace["policies"]},
        held=None if namespace["held"] is None else (namespace["held"][0], Cid.parse(namespace["held"][1])),
        current=tuple(current),
        pending=namespace["pending"],
    )


def _verify_bundle(of: Mapping[str, Json]) -> Json:
    anchors = Anchors(frozenset(map(keys.parse_did, of["nodes"])), frozenset(map(Cid.parse, of["genesis"])))
    report = verify_bundle(bytes.fromhex(of["bundle"]), anchors)
    for check in report.checks:
        if check.verdict == "bad":
            raise Rejected(check.detail.partition(":")[0])
    checks = sorted({(check.code, check.verdict) for check in report.checks if check.verdict != "ok"})
    return {"result": report.result, "checks": [list(check) for check in checks]}


# ------------------------------------------------------------------------------------------ section 6


def _chunk(of: Mapping[str, Json]) -> Json:
    pattern, size = bytes.fromhex(of["pattern"]), of["size"]
    data = (pattern * (size // len(pattern) + 1))[:size]
    builder = manifest.ManifestBuilder()
    blocks = {block.cid: block.data for block in [*builder.feed(data[:1000]), *builder.feed(data[1000:])]}
    last = builder.finish()
    blocks.update(last)
    cid = last[-1].cid
    assert b"".join(manifest.read_content(cid, blocks.__getitem__)) == data
    return {"cid": str(cid), "manifest": blocks[cid].hex() if cid.codec == DAG_CBOR else None}


def _pack_entries(entries: Json) -> list[pack.Entry]:
    return [pack.Entry(item["path"], Cid.parse(item["cid"]), item["size"], item["executable"]) for item in entries]


def _build_pack(of: Mapping[str, Json]) -> Json:
    entries = _pack_entries(of["entries"])
    (block,) = pack.build_pack(reversed(entries))
    assert pack.open_pack(block.cid, {block.cid: block.data}.__getitem__) == sorted(entries, key=lambda item: item.path)
    return {"cid": str(block.cid), "pack": block.data.hex()}


def _build_numbered_pack(of: Mapping[str, Json]) -> Json:
    data = b"a file"
    cid = Cid.of(RAW, data)
    entries = [pack.Entry(of["form"].replace("#", f"{at:06}"), cid, len(data)) for at in range(of["number"])]
    blocks = pack.build_pack(entries)
    assert pack.open_pack(blocks[-1].cid, dict(blocks).__getitem__) == entries
    return {"cid": str(blocks[-1].cid), "blocks": len(blocks)}


def _ignore(of: Mapping[str, Json]) -> Json:
    return {"left_out": Ignore.parse(bytes.fromhex(of["rules"])).leaves_out(of["path"], is_folder=of["is_folder"])}


# ------------------------------------------------------------------------------------------ the law


def _merge(of: Mapping[str, Json]) -> Json:
    """The result that every order gives; real stores, one for each order."""
    results = [_merged(of["records"], order) for order in of["orders"]]
    assert all(result == results[0] for result in results)
    return results[0]


def _merged(records: Mapping[str, Json], order: list[str]) -> Json:
    assert sorted(order) == sorted(records)
    with tempfile.TemporaryDirectory() as folder:
        store = _store(folder)
        try:
            names_seen: set[tuple[str, str]] = set()
            for label in order:
                submission = _submission(records[label])
                ((outcome,),) = store.commit([Request([submission])])
                assert isinstance(outcome, Outcome) or outcome.code == "pending-full", (label, outcome)
                if isinstance(submission, BindingSubmission):
                    name = submission.binding.name
                    names_seen.add((name.namespace, f"{name.handle}:{name.tag}"))
                elif isinstance(submission, PolicySubmission):
                    names_seen.add((submission.policy.ns, "absent:latest"))
            store.make_head()
            return _state_of(store, sorted(names_seen))
        finally:
            store.close()


def _admit(of: Mapping[str, Json]) -> Json:
    records = of["records"]
    with tempfile.TemporaryDirectory() as folder:
        store = _store(folder)
        try:
            for label in of["before"]:
                ((before,),) = store.commit([Request([_submission(records[label])])])
                assert isinstance(before, Outcome), before
            arriving = _submission(records[of["record"]], over_http=of["over_http"])
            ((outcome,),) = store.commit([Request([arriving])])
        finally:
            store.close()
    if not isinstance(outcome, Outcome):
        raise outcome
    displaced = [str(cid) for cid in outcome.displaced]
    return {"state": outcome.state, "new": outcome.new, "displaced": displaced}


def _store(folder: str) -> Store:
    return Store(Path(folder) / "records", SigningKey(bytes(32)), clock_ms=lambda: 0, map_bytes=1 << 26)


def _submission(record: Json, *, over_http: bool = False) -> Submission:
    envelopes = _bytes(record["envelopes"])
    if record["type"] == "policy":
        return PolicySubmission(*policy.open_policy(envelopes), nodes=tuple(_bytes(record.get("nodes", []))))
    return BindingSubmission(*open_binding(envelopes), compare_and_swap=over_http)


def _state_of(store: Store, asked: list[tuple[str, str]]) -> Json:
    with store.view() as view:
        catalog_id = view.log.catalog
        assert catalog_id is not None
        catalog = view.catalog(catalog_id)
        states, ids, decisions = {}, {}, {}
        for ns in sorted({ns for ns, _ in asked}):
            found = view.namespace_state(catalog, ns)
            assert found is not None
            states[ns], ids[ns] = to_dag_json(found.as_statement().value), str(found.as_statement().id)
        for ns, path in asked:
            name = Name.parse(f"{ns}/{path}")
            live, kept = view.decide(Query(name)), view.decide_at(Query(name), catalog)
            assert live == kept
            decisions[str(name)] = {"outcome": live.outcome, "id": str(live.as_statement().id)}
        return {"states": states, "ids": ids, "catalog": str(catalog_id), "decisions": decisions}


def _open_evidence(of: Mapping[str, Json]) -> Json:
    found = open_evidence(bytes.fromhex(of["bytes"]))
    return {"id": str(found.id), "subject": keys.did_of(found.subject), "kind": found.kind}


def _kid_result(of: Mapping[str, Json]) -> Json:
    return {"did": keys.did_of(keys.kid_of(bytes.fromhex(of["kid"])))}


OPERATIONS: Final[dict[str, Operation]] = {
    "decode": _decode,
    "hash": _hash,
    "parse-cid": _parse_cid,
    "derive-key": _derive_key,
    "parse-did": lambda of: {"kid": keys.parse_did(of["did"]).hex()},
    "read-kid": _kid_result,
    "sign": _sign,
    "verify": _verify,
    "open-record": _open_record,
    "parse-name": _parse_name,
    "check-glob": _check_glob,
    "match-glob": lambda of: {"matches": names.glob_matches(of["glob"], of["text"])},
    "cover-glob": lambda of: {"covers": names.glob_covers(of["outer"], of["inner"])},
    "open-policy": lambda of: _opened(policy.open_policy(_bytes(of["envelopes"]))[1]),
    "step-policy": _step_policy,
    "decide-chain": _decide_chain,
    "open-binding": lambda of: _opened(open_binding(_bytes(of["envelopes"]))[1]),
    "judge-binding": _judge_binding,
    "settle": _settle,
    "mailbox": _mailbox,
    "show-pending": _show_pending,
    "decode-consumer-policy": _decoded(decode_consumer_policy),
    "build-tree": _build_tree,
    "update-tree": _update_tree,
    "check-tree": _check_tree,
    "check-proof": _check_proof,
    "diff-trees": _diff_trees,
    "read-value": _read_value,
    "decode-namespace-state": _unsigned(state.decode_namespace_state, lambda found: found.as_statement()),
    "decode-catalog": _unsigned(state.decode_catalog, lambda found: found.as_statement()),
    "open-receipt": _open_receipt,
    "open-evidence": _open_evidence,
    "compare-heads": _compare_heads,
    "log-root": _log_root,
    "check-inclusion": _check_inclusion,
    "check-consistency": _check_consistency,
    "decide": _decide,
    "decode-decision": _unsigned(decode_decision, lambda found: found.as_statement()),
    "verify-bundle": _verify_bundle,
    "chunk": _chunk,
    "decode-manifest": _decoded(manifest.decode_manifest),
    "build-pack": _build_pack,
    "build-numbered-pack": _build_numbered_pack,
    "decode-pack": _decoded(pack.decode_pack),
    "ignore": _ignore,
    **PEERS,
    **LINKS,
    "admit": _admit,
    "merge": _merge,
}
"""name of an operation → what it does."""
