"""Profiles: TOML that an operator writes or is given."""

from __future__ import annotations

import tempfile
from pathlib import Path

from holo.profile import load_profile
from tests.fuzz.target import Target


def _profile(data: bytes) -> None:
    """A file, and after a line ``###`` a setting over it: a profile with an address to listen on, or refused."""
    text, _, setting = data.partition(b"\n###\n")
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(text)
        file.flush()
        profile = load_profile(file.name, [setting.decode("utf-8", "replace")] if setting else [])
    host, port = profile.http.address
    assert host
    assert 0 <= port <= 65535
    assert profile.name == Path(file.name).stem
    if profile.roles.registry is not None:
        assert len(profile.roles.registry.pinned) == len(profile.roles.registry.namespaces)
    if profile.roles.gossip is not None:
        assert profile.roles.gossip.address[0]
        assert len(profile.roles.gossip.pinned) <= len(profile.roles.gossip.peers)


def _seeds() -> list[bytes]:
    shipped = (Path(__file__).resolve().parents[3] / "profiles" / "minimal-peer.toml").read_bytes()
    lines = (
        'v = 1\n[http]\nlisten = "[::1]:0"',
        'v = 1\n[http]\nlisten = "0.0.0.0:1"',
        "v = 2",
        "v = 1\n[htp]",
        "v = 1\nhttp = 1",
        'v = 1\n[roles.registry]\nadmit = "pinned"\nnamespaces = {acme = "bafyr4i"}',
        'v = 1\n[roles.gossip]\nlisten = "[::1]:0"\naddresses = ["a.example:1"]',
        'v = 1\n[roles.gossip]\npeers = ["did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp@a.example:1"]',
        "v = 1\nv = 1",
        "v = 1.0",
        "v = 1\n###\nhttp.listen=localhost:1",
        "v = 1\n###\nv.x=1",
        "v = 1\n###\nstore.map_bytes=1048576",
        "v = 1\nname = 1",
        "v = 1979-05-27T07:32:00Z",
        "v = [[1]]",
    )
    return [shipped, *(line.encode() for line in lines)]


TARGETS = (
    Target(
        "profile",
        _profile,
        _seeds,
        4096,
        known=(b"[http]", b"listen = ", b"\n###\n", b'"127.0.0.1:', b"[roles.registry]", b"v = 1\n"),
    ),
)
