"""Section 7: messages, carried records, what a comparison makes of a peer's objects, and transfers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holo.core import codec, limits, tree
from holo.core.carried import read_carried
from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.differences import Found, FoundEvidence, FoundName, FoundPolicy
from holo.core.errors import Rejected
from holo.core.messages import decode_message, encode_message
from holo.core.pull import Own, Pull
from holo.core.state import Catalog, NamespaceState
from holo.core.transfer import Fetch, decode_transfer, encode_transfer
from tests.fuzz.seeds import of_vectors
from tests.fuzz.target import Target
from tests.replay_peers import joined


def _message(data: bytes) -> None:
    assert encode_message(decode_message(data)) == data


def _transfer(data: bytes) -> None:
    assert encode_transfer(decode_transfer(data)) == data


def _carried(data: bytes) -> None:
    carried = read_carried(codec.decode(data, limits.ANSWER_BYTES), "carried")
    assert codec.encode(carried.as_value()) == data
    assert carried.size_bytes >= len(data)
    offered = carried.submissions()
    assert all(1 <= len(record) <= limits.ENDORSEMENTS_PER_RECORD for record in offered)
    assert len({envelope for record in offered for envelope in record}) == len(carried.endorsements)


def _pull(data: bytes) -> None:
    """A list of a peer's objects, the catalog first: the comparison ends, and opens no object twice."""
    objects = codec.decode(data, 1 << 20)
    if not (isinstance(objects, list) and objects and all(type(item) is bytes for item in objects)):
        raise Rejected("field-invalid", "not a list of objects")
    held = {Cid.of(DAG_CBOR, item): item for item in objects}
    pull = Pull(Cid.of(DAG_CBOR, objects[0]), hosts=lambda ns, genesis: True)
    found: list[Found] = []
    while asked := pull.ask():
        found += pull.take(asked, [held.get(cid) for cid in asked], Own(_OWN, _OWN_NODES.__getitem__))
    assert pull.done
    assert not pull.cut
    assert len(pull.seen) == len(set(pull.seen)) <= len(held)
    size = sum(map(len, objects))
    assert len(found) <= size  # each has bytes of its own
    assert all(item.positions for item in found if isinstance(item, FoundName))
    assert all(item.endorsers for item in found if isinstance(item, FoundPolicy))
    assert all(isinstance(item.evidence, Cid) for item in found if isinstance(item, FoundEvidence))


def _fetch(data: bytes) -> None:
    """A list of frames that come in answer to one question: in the end there is the object or a refusal."""
    frames = codec.decode(data, 1 << 20)
    if not (isinstance(frames, list) and all(type(item) is bytes for item in frames)):
        raise Rejected("field-invalid", "not a list of frames")
    fetch = Fetch(Cid.of(RAW, b"wanted"), 10)
    fetch.question()
    for frame in frames:
        if not fetch.waiting:
            break
        fetch.take(frame)
    assert fetch.data in (None, b"wanted")


_OWN_NODES: dict[Cid, bytes] = {}


def _own() -> Catalog:
    """This end has something of what the peers of the vectors have."""
    genesis, policy = (Cid.of(DAG_CBOR, text) for text in (b"genesis", b"policy"))
    names = {b"pkg%03d/dev" % at: [[Cid.of(DAG_CBOR, b"one %d" % at), [0]]] for at in range(90)}
    bindings = tree.build(names.items())
    state = NamespaceState("a", genesis, policy, None, tree.EMPTY, bindings.root, tree.EMPTY, len(names)).as_statement()
    namespaces = tree.build([(b"a", [state.id])])
    _OWN_NODES.update({**bindings.added, **namespaces.added, state.id: state.bytes})
    return Catalog(namespaces.root, tree.EMPTY)


_OWN = _own()


def _joined(name: str) -> Any:
    def seed(given: Any) -> Iterator[bytes]:
        yield joined(given[name])

    return seed


def _objects(given: Any) -> Iterator[bytes]:
    objects = [bytes.fromhex(text) for text in given["peer_objects"]]
    catalog = Cid.parse(given["peer_catalog"])
    yield codec.encode(sorted(objects, key=lambda item: Cid.of(DAG_CBOR, item) != catalog))


def _frames(given: Any) -> Iterator[bytes]:
    yield codec.encode([bytes.fromhex(text) for text in given["frames"]])


def _fetch_seeds() -> list[bytes]:
    said = [codec.encode({"m": "bytes", "id": 0, "size": size}) for size in (6, 0, 11, None)]
    made = [[said[0], b"wanted"], [said[0], b"wan", b"ted"], [said[0]], [said[1]], [said[2], b"wanted more"], [said[3]]]
    return [*of_vectors("fetch", _frames), *map(codec.encode, made)]


TARGETS = (
    Target("message", _message, lambda: of_vectors("decode-message", _joined("frame")), 8192, structured=True),
    Target("transfer", _transfer, lambda: of_vectors("decode-transfer", _joined("frame")), structured=True),
    Target("carried", _carried, lambda: of_vectors("offer-carried", _joined("bytes")), 16384, structured=True),
    Target("pull", _pull, lambda: of_vectors("compare-catalogs", _objects), 32768, structured=True),
    Target("fetch", _fetch, _fetch_seeds, structured=True),
)
