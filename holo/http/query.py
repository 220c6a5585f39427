"""Query strings, decoded once, from the raw bytes, strictly.

Frameworks read ``+`` as a space and forgive broken escapes, unknown names and repetitions. Tags contain ``+``, and a
parameter that is silently ignored is an answer to another question, so each of those is a refusal here (RFC 3986
section 2.1 for the escapes; the form encoding of HTML is *not* spoken).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from holo.core.errors import Rejected

T = TypeVar("T")

_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_PERCENT: Final = ord("%")


@dataclass(frozen=True, slots=True)
class Parameter(Generic[T]):
    """A query parameter: how its text becomes a value, and what OpenAPI says of it.

    ``read`` raises :class:`Rejected` for a text it does not take. ``schema`` is the JSON Schema of the text.
    """

    name: str
    read: Callable[[str], T]
    schema: Mapping[str, object]
    summary: str
    required: bool = False


class Query:
    """The decoded parameters of one request. Only what the route declares can be in it."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def get(self, parameter: Parameter[T]) -> T | None:
        """The value of ``parameter``, or None where the request does not have it."""
        return cast("T | None", self._values.get(parameter.name))

    def need(self, parameter: Parameter[T]) -> T:
        """The value of a required parameter, which :func:`decode_query` has made sure of."""
        assert parameter.required, f"{parameter.name} is optional"
        return cast("T", self._values[parameter.name])


def decode_query(raw: bytes, declared: Sequence[Parameter[Any]]) -> Query:
    """The query that the raw bytes after ``?`` say.

    Raises ``request-invalid`` for a part without ``=``, a broken escape or bytes that are not UTF-8,
    ``parameter-unknown``, ``parameter-repeated``, and whatever a parameter's own reader raises; ``at`` names the
    parameter.
    """
    known = {parameter.name: parameter for parameter in declared}
    values: dict[str, Any] = {}
    for part in raw.split(b"&") if raw else ():
        name_bytes, equals, value_bytes = part.partition(b"=")
        name = _unescape(name_bytes)
        parameter = known.get(name)
        if parameter is None:
            allowed = ", ".join(sorted(known)) or "none"
            raise Rejected("parameter-unknown", f"{name[:80]!r}; this resource has: {allowed}", at="query")
        if name in values:
            raise Rejected("parameter-repeated", f"{name} is given more than once", at=f"query.{name}")
        if not equals:
            raise Rejected("request-invalid", f"{name} has no value; write {name}=…", at=f"query.{name}")
        try:
            values[name] = parameter.read(_unescape(value_bytes))
        except Rejected as error:
            error.at = error.at or f"query.{name}"
            raise
    for parameter in declared:
        if parameter.required and parameter.name not in values:
            raise Rejected("request-invalid", f"{parameter.name} is required", at=f"query.{parameter.name}")
    return Query(values)


def encode_query(values: Mapping[str, str]) -> str:
    """The query string that :func:`decode_query` reads back as ``values``."""
    return "&".join(f"{_escape(name)}={_escape(value)}" for name, value in values.items())


def integer(name: str, low: int, high: int, summary: str) -> Parameter[int]:
    """A parameter that is a decimal integer from ``low`` to ``high``, without sign or leading zeros."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 16 and text == str(int(text))):
            raise Rejected("request-invalid", f"{name} is not a decimal number: {text[:40]!r}")
        value = int(text)
        if not low <= value <= high:
            raise Rejected("request-invalid", f"{name} is {value}; allowed are {low} to {high}")
        return value

    return Parameter(name, read, {"type": "integer", "minimum": low, "maximum": high}, summary)


def choice(name: str, allowed: Sequence[str], summary: str) -> Parameter[str]:
    """A parameter that is one of a few words."""

    def read(text: str) -> str:
        if text not in allowed:
            raise Rejected("request-invalid", f"{name} is {text[:40]!r}; allowed are {', '.join(allowed)}")
        return text

    return Parameter(name, read, {"type": "string", "enum": list(allowed)}, summary)


def choices(name: str, allowed: Sequence[str], summary: str) -> Parameter[frozenset[str]]:
    """A parameter that is one or more of a few words, separated by commas."""

    def read(text: str) -> frozenset[str]:
        words = text.split(",")
        for word in words:
            if word not in allowed:
                raise Rejected("request-invalid", f"{name} has {word[:40]!r}; allowed are {', '.join(allowed)}")
        return frozenset(words)

    pattern = "|".join(allowed)
    schema = {"type": "string", "pattern": f"^({pattern})(,({pattern}))*$"}
    return Parameter(name, read, schema, summary)


def _unescape(data: bytes) -> str:
    """UTF-8 text of ``data`` with its percent escapes resolved; ``+`` stays a plus."""
    if _PERCENT in data:
        data = _unescape_bytes(data)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Rejected("request-invalid", "the query is not UTF-8", at="query") from None


def _unescape_bytes(data: bytes) -> bytes:
    first, *escaped = data.split(b"%")
    parts = [first]
    for part in escaped:
        if len(part) < 2 or part[0] not in _HEX or part[1] not in _HEX:
            raise Rejected("request-invalid", "a percent sign without two hexadecimal digits", at="query")
        parts.append(bytes((int(part[:2], 16),)) + part[2:])
    return b"".join(parts)


_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:@,+")


def _escape(text: str) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode())
