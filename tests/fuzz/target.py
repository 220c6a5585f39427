"""What is fuzzed: a function from bytes, the property it keeps for all of them, and where a search may begin."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from holo.core.errors import CODES, HoloError
from holo.core.limits import ERROR_TEXT_CHARS


@dataclass(frozen=True)
class Target:
    """One decoder or checker.

    ``run`` gives what the decoder under test refuses as the :class:`HoloError` it raised, lets every other exception
    pass, and asserts whatever holds of accepted input. ``seeds`` are bytes worth starting from. ``structured`` says
    that they are DAG-CBOR, so that values can be changed and signed again instead of bits. ``known`` are texts that the
    decoder looks for.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    limit_bytes: int = 4096
    structured: bool = False
    known: tuple[bytes, ...] = ()


def accepts(target: Target, data: bytes) -> bool:
    """Whether ``data`` is accepted. Raises for anything but acceptance that holds or a refusal in good form."""
    try:
        target.run(data)
    except HoloError as refusal:
        check_refusal(refusal)
        return False
    return True


def check_code(refusal: HoloError, code: str) -> None:
    """The refusal is by this code."""
    assert refusal.code == code, f"{refusal.code} where {code} is promised"


def check_refusal(refusal: HoloError) -> None:
    """A refusal blames the input by a known code, and says nothing that a terminal or UTF-8 cannot bear."""
    assert refusal.code in CODES
    assert refusal.http_status < 500, f"{refusal.code} blames holo for its input"
    for text in (refusal.detail, refusal.subject or "", refusal.at or ""):
        assert text.isprintable(), repr(text)
        assert len(text) <= ERROR_TEXT_CHARS
    str(refusal).encode()
