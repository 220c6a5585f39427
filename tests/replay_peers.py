"""What each operation of the vectors of section 7 means, by holo's public functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from holo.core import codec, limits
from holo.core.answers import rest_of_range, rest_of_records
from holo.core.carried import read_carried
from holo.core.cid import DAG_CBOR, Cid
from holo.core.differences import Differs, Found, FoundEvidence, FoundName, FoundPolicy
from holo.core.keys import did_of
from holo.core.messages import Range, Records, WantRange, WantRecords, decode_message, encode_message
from holo.core.pull import Own, Pull
from holo.core.state import decode_catalog
from holo.core.transfer import Fetch, Get, answer, decode_transfer, encode_transfer
from tests.dag_json import to_dag_json

Json = Any
Operation = Callable[[Mapping[str, Json]], Json]


def joined(parts: Json) -> bytes:
    """Bytes as hexadecimal text, or as a list of such texts and of [text, how often]."""
    listed = parts if isinstance(parts, list) else [parts]
    pairs = [part if isinstance(part, list) else [part, 1] for part in listed]
    return b"".join(bytes.fromhex(text) * times for text, times in pairs)


def _decode_message(of: Mapping[str, Json]) -> Json:
    frame = joined(of["frame"])
    assert encode_message(decode_message(frame)) == frame
    return {"value": to_dag_json(codec.decode(frame, limits.FRAME_BYTES))}


def _decode_transfer(of: Mapping[str, Json]) -> Json:
    frame = joined(of["frame"])
    assert encode_transfer(decode_transfer(frame)) == frame
    return {"value": to_dag_json(codec.decode(frame, limits.FRAME_BYTES))}


def _offer_carried(of: Mapping[str, Json]) -> Json:
    carried = read_carried(codec.decode(joined(of["bytes"]), limits.ANSWER_BYTES), "carried")
    return {"records": [[envelope.hex() for envelope in record] for record in carried.submissions()]}


def _rest(of: Mapping[str, Json]) -> Json:
    question, reply = (decode_message(bytes.fromhex(of[side])) for side in ("question", "answer"))
    if isinstance(question, WantRecords):
        assert isinstance(reply, Records)
        return {"rest": [str(cid) for cid in rest_of_records(question, reply)]}
    assert isinstance(question, WantRange)
    assert isinstance(reply, Range)
    return {"rest": [[span.ns, str(span.genesis), span.after] for span in rest_of_range(question, reply)]}


def _objects(texts: list[str]) -> dict[Cid, bytes]:
    return {Cid.of(DAG_CBOR, data): data for data in map(bytes.fromhex, texts)}


def _compare(of: Mapping[str, Json]) -> Json:
    mine, theirs = _objects(of["objects"]), _objects(of["peer_objects"])
    own = None if of["catalog"] is None else decode_catalog(mine[Cid.parse(of["catalog"])])
    hosted = {ns: Cid.parse(genesis) for ns, genesis in of["hosts"].items()}
    pull = Pull(Cid.parse(of["peer_catalog"]), hosts=lambda ns, genesis: hosted.get(ns) == genesis)
    found: list[Found] = []
    while asked := pull.ask():
        found += pull.take(asked, [theirs.get(cid) for cid in asked], Own(own, mine.__getitem__))
    shown = [_shown(item) for item in found]
    wanted = sorted(str(cid) for cid in pull.seen)
    return {"found": sorted(shown, key=str), "wanted": wanted, "gone": pull.gone}


def _shown(found: Found) -> Json:
    if isinstance(found, Differs):
        return ["differs", found.ns, found.by_range]
    if isinstance(found, FoundEvidence):
        return ["evidence", found.subject.hex(), str(found.evidence)]
    if isinstance(found, FoundPolicy):
        return ["policy", found.ns, str(found.policy), [did_of(kid) for kid in found.endorsers]]
    assert isinstance(found, FoundName)
    kind = "pending" if found.pending else "binding"
    return [kind, found.ns, found.path, str(found.statement), list(found.positions)]


def _serve(of: Mapping[str, Json]) -> Json:
    get = decode_transfer(bytes.fromhex(of["question"]))
    assert isinstance(get, Get)
    data = None if of["data"] is None else bytes.fromhex(of["data"])
    header, *frames = answer(get, data)
    return {"answer": header.hex(), "bytes": b"".join(frames).hex()}


def _fetch(of: Mapping[str, Json]) -> Json:
    fetch = Fetch(Cid.parse(of["cid"]), of["limit"])
    fetch.question()
    for frame in of["frames"]:
        fetch.take(bytes.fromhex(frame))
    return {"data": None if fetch.data is None else fetch.data.hex()}


PEERS: Final[dict[str, Operation]] = {
    "decode-message": _decode_message,
    "decode-transfer": _decode_transfer,
    "offer-carried": _offer_carried,
    "rest-of-answer": _rest,
    "compare-catalogs": _compare,
    "serve-transfer": _serve,
    "fetch": _fetch,
}
"""name of an operation → what it does."""
