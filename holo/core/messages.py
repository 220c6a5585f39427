"""What peers say to each other, one message a frame (spec section 7).

A message is a strict DAG-CBOR map with its kind under ``m``. :func:`decode_message` bounds and checks the form of all
of it; what the bytes in it say, whose signatures they carry and whether they answer what was asked is judged by whoever
takes them.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from holo.core import codec, limits
from holo.core.announcements import Bye, Converged, Heads, Hello, Push, ShownEvidence, ShownHead
from holo.core.carried import Carried, carry, carry_pending
from holo.core.errors import Rejected
from holo.core.fields import Fields
from holo.core.questions import (
    ID_MAX,
    Objects,
    Proof,
    Range,
    Records,
    Span,
    Want,
    WantProof,
    WantRange,
    WantRecords,
    cut_objects,
    cut_records,
)

__all__ = [
    "ID_MAX",
    "Answer",
    "Bye",
    "Carried",
    "Converged",
    "Heads",
    "Hello",
    "Message",
    "Objects",
    "Proof",
    "Push",
    "Question",
    "Range",
    "Records",
    "ShownEvidence",
    "ShownHead",
    "Span",
    "Want",
    "WantProof",
    "WantRange",
    "WantRecords",
    "carry",
    "carry_pending",
    "cut_objects",
    "cut_records",
    "decode_message",
    "encode_message",
]

Question: TypeAlias = Want | WantRecords | WantRange | WantProof
Answer: TypeAlias = Objects | Records | Range | Proof
Message: TypeAlias = Hello | Heads | Push | ShownEvidence | Converged | Bye | Question | Answer

_KINDS: Final[dict[str, type[Message]]] = {
    kind.KIND: kind
    for kind in (
        Hello, Heads, Push, ShownEvidence, Converged, Bye,
        Want, Objects, WantRecords, Records, WantRange, Range, WantProof, Proof,
    )
}  # fmt: skip


def encode_message(message: Message) -> bytes:
    """The payload of a frame. Whoever makes a message keeps its bounds; a frame that is too large asserts."""
    frame = codec.encode({"m": message.KIND, **message.as_value()})
    assert len(frame) <= limits.FRAME_BYTES, f"{message.KIND} of {len(frame)} bytes"
    return frame


def decode_message(frame: bytes) -> Message:
    """The message in the payload of a frame.

    Raises ``too-large``, ``cbor-invalid``, ``message-unknown``, and with the place ``field-*``, ``name-invalid``,
    ``cid-*``, ``address-invalid`` or ``version-unsupported``.
    """
    value = codec.decode(frame, limits.FRAME_BYTES, limits.MESSAGE_ITEMS)
    name = kind_of(value)
    kind = _KINDS.get(name)
    if kind is None:
        raise Rejected("message-unknown", f"a message {name[:64]!r}", at="message.m")
    return kind.read(Fields(value, "message", ("m", *kind.FIELDS)))


def kind_of(value: Any) -> str:
    """What a decoded message says it is."""
    if type(value) is not dict or type(value.get("m")) is not str:
        raise Rejected("message-unknown", "not a map with its kind under m", at="message.m")
    name: str = value["m"]
    return name
