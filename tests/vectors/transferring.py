"""Vectors of section 7.8: questions and answers of the transfer plane, and whole transfers."""

from __future__ import annotations

from typing import Any

from holo.core import codec
from holo.core.cid import RAW, Cid
from tests.vectors.form import Group, changed, dag_json


def transfers() -> Group:
    """The group of this section."""
    group = Group(
        "transfers",
        "The transfer plane (7.8). `serve-transfer`: the answer to a question, and the bytes that follow it, by who "
        "holds `data`. `fetch`: what is taken from the frames that come by one who asked for all of `cid`, by offset 0 "
        "and id 0; `limit` bounds the object; null where more has to come.",
    )
    data = bytes(range(200))
    cid = Cid.of(RAW, data)
    get = {"m": "get", "id": 3, "cid": cid, "offset": 0, "length": 100}
    given = {"m": "bytes", "id": 0, "size": 200}
    for name, value in (("get", get), ("bytes", given), ("not-held", {**given, "size": None})):
        group.valid(name, "decode-transfer", {"value": dag_json(value)}, frame=codec.encode(value).hex())
    for name, fields, held, size, start in (
        ("serve-the-beginning", {}, data, 100, 0),
        ("serve-the-end", {"offset": 150}, data, 50, 150),
        ("serve-beyond-the-end", {"offset": 200}, data, 0, 200),
        ("serve-what-is-not-held", {}, None, None, 0),
    ):
        answer = {"m": "bytes", "id": 3, "size": size}
        piece = data[start : start + (size or 0)]
        group.valid(
            name, "serve-transfer", {"answer": codec.encode(answer).hex(), "bytes": piece.hex()},
            question=codec.encode({**get, **fields}).hex(), data=None if held is None else held.hex(),
        )  # fmt: skip
    header = codec.encode(given)
    for name, frames, whole in (
        ("whole", [header, data], data),
        ("in-pieces", [header, data[:1], data[1:150], data[150:]], data),
        ("not-yet-whole", [header, data[:150]], None),
    ):
        result = {"data": None if whole is None else whole.hex()}
        group.valid(name, "fetch", result, cid=str(cid), limit=200, frames=[frame.hex() for frame in frames])
    _invalid(group, get, header, data, cid)
    return group


def _invalid(group: Group, get: dict[str, Any], header: bytes, data: bytes, cid: Cid) -> None:
    field = "field-invalid"
    for name, code, path, new in (
        ("length-0", field, "length", 0),
        ("length-too-large", field, "length", 1_048_577),
        ("offset-negative", field, "offset", -1),
        ("id-too-large", field, "id", 2**32),
        ("cid-as-text", field, "cid", "x"),
        ("unknown-field", "field-unknown", "more", 1),
        ("kind-of-the-other-plane", "message-unknown", "m", "want"),
    ):
        frame = codec.encode(changed(get, [path], new))
        group.invalid(name, "decode-transfer", code, "get", f"{path} is another", frame=frame.hex())
    huge = codec.encode({"m": "bytes", "id": 0, "size": 1_048_577})
    group.invalid("size-too-large", "decode-transfer", field, "bytes", "1 MiB and a byte", frame=huge.hex())
    padded = codec.encode({**get, "more": bytes(256)})
    group.invalid("message-too-large", "decode-transfer", "too-large", "get", "256 bytes more", frame=padded.hex())
    more = codec.encode({"m": "bytes", "id": 0, "size": 202})
    other = codec.encode({"m": "bytes", "id": 1, "size": 200})
    for name, code, change, frames in (
        ("another-id", "answer-invalid", "another id", [other, data]),
        ("a-question-back", "answer-invalid", "a question", [codec.encode(get)]),
        ("more-than-asked", "answer-invalid", "more than limit and one", [more, data, b"xx"]),
        ("more-than-said", "answer-invalid", "a byte more", [header, data + b"x"]),
        ("more-than-the-limit", "too-large", "a byte more than the limit", [_said(201), data + b"x"]),
        ("an-empty-frame", "answer-invalid", "an empty frame", [header, b"", data]),
        ("forged", "cid-mismatch", "a byte is another", [header, data[:-1] + b"x"]),
        ("cut-short", "cid-mismatch", "a byte less", [_said(199), data[:-1]]),
        ("nothing-held", "not-found", "null as size", [_said(None)]),
    ):
        group.invalid(
            name, "fetch", code, "whole", change, cid=str(cid), limit=200, frames=[frame.hex() for frame in frames]
        )


def _said(size: int | None) -> bytes:
    return codec.encode({"m": "bytes", "id": 0, "size": size})
