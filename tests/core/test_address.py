"""Addresses: HOST:PORT and nothing else, whatever their length."""

from __future__ import annotations

import pytest

from holo.core.address import check_address, join_address, split_address
from holo.core.errors import Rejected
from holo.core.limits import ADDRESS_BYTES

LONGEST = f"{'a' * 253}:65535"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("127.0.0.1:8421", ("127.0.0.1", 8421)),
        ("holo.example:1", ("holo.example", 1)),
        ("[::1]:65535", ("::1", 65535)),
        ("[::ffff:192.0.2.1]:7", ("::ffff:192.0.2.1", 7)),
        ("a:1", ("a", 1)),
        ("under_score.example.:1", ("under_score.example.", 1)),
        (LONGEST, ("a" * 253, 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, parts: tuple[str, int]) -> None:
    assert split_address(text) == parts
    assert check_address(text) == text
    assert join_address(*parts) == text
    assert len(LONGEST) == ADDRESS_BYTES


@pytest.mark.parametrize(
    "text",
    [
        "", ":", ":1", "a:", "a", "a:65536", "a:01", "a:-1", "a: 1", "a:1 ", "a b:1", "::1:1", "[::1]", "[::1]:",
        "[]:1", "[fe80::1%eth0]:1", "-a:1", "a/b:1", "a@b:1", "ä:1", "a:١", "a\n:1", f"a{LONGEST}", "a" * 100_000,
    ],
)  # fmt: skip
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        split_address(text)
    assert caught.value.code == "address-invalid"


def test_port_0_is_for_listeners() -> None:
    assert split_address("127.0.0.1:0") == ("127.0.0.1", 0)
    with pytest.raises(Rejected):
        check_address("127.0.0.1:0")
