"""Strict reading of decoded maps: every field known, present, of its type and within its bounds.

Each reader names the place it failed at, so that an error says ``payload.signers[2].key`` and not "invalid".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from holo.core.cid import Cid
from holo.core.errors import Rejected
from holo.core.keys import Kid, kid_of
from holo.core.limits import INT_MAX


class Fields:
    """One decoded map, checked field by field. ``at`` is its place in the input."""

    def __init__(self, value: Any, at: str, required: Collection[str], optional: Iterable[str] = ()) -> None:
        """Raises ``field-invalid`` for a non-map, ``field-missing`` and ``field-unknown`` for the wrong field names."""
        if type(value) is not dict and not isinstance(value, Mapping):
            raise Rejected("field-invalid", f"{at} is not a map", at=at)
        for name in required:
            if name not in value:
                raise Rejected("field-missing", f"{at}.{name}", at=f"{at}.{name}")
        if len(value) != len(required):
            known = {*required, *optional}
            for name in value:
                if name not in known:
                    raise Rejected("field-unknown", f"{at}.{name}", at=f"{at}.{name}")
        self._value = value
        self._at = at

    def at(self, name: str) -> str:
        """The place of a field."""
        return f"{self._at}.{name}"

    def fail(self, name: str, what: str) -> Rejected:
        """A ``field-invalid`` error about a field, to raise."""
        return Rejected("field-invalid", f"{self.at(name)} {what}", at=self.at(name))

    def has(self, name: str) -> bool:
        """Whether the field is there."""
        return name in self._value

    def of(self, name: str) -> Any:
        """The field's value, unchecked."""
        return self._value[name]

    def null(self, name: str) -> bool:
        """Whether the field is null."""
        return self._value[name] is None

    def text(self, name: str, limit_bytes: int) -> str:
        """A text of at most ``limit_bytes`` UTF-8 bytes."""
        value = self._value[name]
        if not isinstance(value, str):
            raise self.fail(name, "is not text")
        if len(value.encode()) > limit_bytes:
            raise self.fail(name, f"is longer than {limit_bytes} bytes")
        return value

    def data(self, name: str, length: int) -> bytes:
        """A byte string of exactly ``length`` bytes."""
        value = self._value[name]
        if type(value) is not bytes or len(value) != length:
            raise self.fail(name, f"is not a byte string of {length} bytes")
        return value

    def blob(self, name: str, limit_bytes: int) -> bytes:
        """A byte string of at most ``limit_bytes``."""
        value = self._value[name]
        if type(value) is not bytes or len(value) > limit_bytes:
            raise self.fail(name, f"is not a byte string of at most {limit_bytes} bytes")
        return value

    def integer(self, name: str, low: int = 0, high: int = INT_MAX) -> int:
        """An integer from ``low`` to ``high``."""
        value = self._value[name]
        if type(value) is not int or not low <= value <= high:
            raise self.fail(name, f"is not an integer from {low} to {high}")
        return value

    def boolean(self, name: str) -> bool:
        """A boolean."""
        value = self._value[name]
        if type(value) is not bool:
            raise self.fail(name, "is not a boolean")
        return value

    def choice(self, name: str, allowed: Collection[str]) -> str:
        """One of the texts in ``allowed``."""
        value = self._value[name]
        if not isinstance(value, str) or value not in allowed:
            raise self.fail(name, f"is not one of {', '.join(allowed)}")
        return value

    def link(self, name: str) -> Cid:
        """A CID."""
        value = self._value[name]
        if not isinstance(value, Cid):
            raise self.fail(name, "is not a link")
        return value

    def link_or_null(self, name: str) -> Cid | None:
        """A CID or null."""
        return None if self._value[name] is None else self.link(name)

    def items(self, name: str, limit: int, *, least: int = 0) -> list[Any]:
        """A list of ``least`` to ``limit`` items, unchecked."""
        value = self._value[name]
        if not isinstance(value, list):
            raise self.fail(name, "is not a list")
        if not least <= len(value) <= limit:
            raise self.fail(name, f"has {len(value)} items where {least} to {limit} are allowed")
        return value

    def mapping(self, name: str) -> Mapping[str, Any]:
        """A map, unchecked."""
        value = self._value[name]
        if type(value) is not dict and not isinstance(value, Mapping):
            raise self.fail(name, "is not a map")
        return value

    def key(self, name: str) -> Kid:
        """A kid: 34 bytes that name a usable Ed25519 key."""
        return self._key(self._value[name], self.at(name))

    def keys(self, name: str, limit: int, *, least: int = 0) -> tuple[Kid, ...]:
        """A list of distinct kids."""
        found = tuple(
            self._key(item, f"{self.at(name)}[{index}]")
            for index, item in enumerate(self.items(name, limit, least=least))
        )
        if len(set(found)) != len(found):
            raise self.fail(name, "names a key twice")
        return found

    def links(self, name: str, limit: int) -> tuple[Cid, ...]:
        """A list of distinct CIDs."""
        found = tuple(self.items(name, limit))
        if not all(isinstance(item, Cid) for item in found):
            raise self.fail(name, "holds something that is not a link")
        if len(set(found)) != len(found):
            raise self.fail(name, "names a link twice")
        return found

    def texts(self, name: str, limit: int, limit_bytes: int, *, least: int = 0) -> tuple[str, ...]:
        """A list of texts of at most ``limit_bytes`` bytes each."""
        found = tuple(self.items(name, limit, least=least))
        if not all(isinstance(item, str) and len(item.encode()) <= limit_bytes for item in found):
            raise self.fail(name, f"holds something that is not a text of at most {limit_bytes} bytes")
        return found

    @staticmethod
    def _key(value: Any, at: str) -> Kid:
        if type(value) is not bytes:
            raise Rejected("field-invalid", f"{at} is not a kid", at=at)
        try:
            return kid_of(value)
        except Rejected as error:
            error.at = at
            raise
