"""Profiles: the one that ships says every setting, and what is wrong in another is named before anything is opened."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holo.core.cid import RAW, Cid
from holo.core.errors import Rejected
from holo.core.keys import SigningKey, did_of, parse_did
from holo.profile import Profile, load_profile, parse_profile

SHIPPED = Path(__file__).parents[1] / "profiles" / "minimal-peer.toml"
DID = did_of(SigningKey(bytes(32)).kid)
GENESIS = str(Cid.of(RAW, b"genesis"))


def refusal(*settings: str) -> Rejected:
    with pytest.raises(Rejected) as caught:
        load_profile("minimal-peer", list(settings))
    return caught.value


def test_the_shipped_profile_says_every_setting_with_its_default() -> None:
    written = tomllib.loads(SHIPPED.read_text("utf-8"))
    least = msgspec.to_builtins(parse_profile({"v": 1, "roles": {"registry": {}, "gossip": {}}}))
    del least["name"]
    assert written == msgspec.json.decode(msgspec.json.encode(least))
    assert load_profile("minimal-peer").name == "minimal-peer"


def test_a_role_is_on_because_its_table_is_there() -> None:
    assert parse_profile({"v": 1}).role_names == []
    assert parse_profile({"v": 1, "roles": {"registry": {}}}).role_names == ["registry"]
    assert parse_profile({"v": 1, "roles": {"gossip": {}}}).role_names == ["gossip"]


def test_settings_from_outside_are_toml_or_else_text() -> None:
    profile = load_profile(
        "minimal-peer",
        [
            "http.listen=127.0.0.1:0",
            "store.keep_heads=7",
            'node.site="here"',
            f"roles.registry.namespaces.acme={GENESIS}",
        ],
    )
    assert (profile.http.address, profile.store.keep_heads, profile.node.site) == (("127.0.0.1", 0), 7, "here")
    assert profile.roles.registry is not None
    assert profile.roles.registry.pinned == {"acme": Cid.parse(GENESIS)}


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("http.lisen=127.0.0.1:1", "did you mean http.listen?"),
        ("htp.listen=127.0.0.1:1", "did you mean http?"),
        ("roles.registri.admit=open", "did you mean roles.registry?"),
        ("roles.registry.admitt=open", "did you mean roles.registry.admit?"),
        ("limits.anonymous.denials=1", "limits.anonymous.denials_per_minute"),
        ("v=2", "v"),
        ("name=mine", "name"),
        ("http=1", "http is a table"),
        ("http.listen.port=1", "listen"),
        ("roles.registry.admit=closed", "roles.registry.admit"),
        ("store.keep_heads=0", "store.keep_heads"),
        ("store.keep_heads=many", "store.keep_heads"),
        ("store.map_bytes=1", "store.map_bytes"),
        ("node.log_level=loud", "node.log_level"),
        ("http.require=nothing", "http.require"),
        ("http.listen=8420", "http.listen"),
        ("http.listen=127.0.0.1:65536", "http.listen"),
        ("http.tls_cert=a.pem", "http.tls_key"),
        ("roles.registry.namespaces.acme=not-a-cid", "roles.registry.namespaces.acme"),
        (f"roles.registry.namespaces.A={GENESIS}", "roles.registry.namespaces.A"),
        ("roles.gossip.listen=8421", "roles.gossip.listen"),
        ("roles.gossip.listen=127.0.0.1:65536", "roles.gossip.listen"),
        ('roles.gossip.addresses=["a:0"]', "roles.gossip.addresses"),
        (f"roles.gossip.addresses={['a:1'] * 9}", "roles.gossip.addresses"),
        ('roles.gossip.peers=["a:1"]', "roles.gossip.peers"),
        (f'roles.gossip.peers=["{DID}"]', "roles.gossip.peers"),
        (f'roles.gossip.peers=["{DID}@a:0"]', "roles.gossip.peers"),
        (f"roles.gossip.peers={[f'{DID}@a:{n}' for n in range(1, 10)]}", "roles.gossip.peers"),
        ("roles.gossip.max_peers=0", "roles.gossip.max_peers"),
        ("roles.gossip.max_peers=1025", "roles.gossip.max_peers"),
        ("roles.gossip.fanout=0", "roles.gossip.fanout"),
        ("no equals sign", "KEY=VALUE"),
        ("http.listen=127.0.0.1:²", "http.listen"),
        (f"http.listen=127.0.0.1:{'9' * 5000}", "http.listen"),
        (f"store.keep_heads={'9' * 5000}", "store.keep_heads"),
        (f"store.keep_heads={'[' * 5000}", "store.keep_heads"),
    ],
)
def test_what_is_wrong_is_named(setting: str, named: str) -> None:
    error = refusal(setting)
    assert error.code == "profile-invalid"
    assert named in error.detail


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "holo.example:0"])
def test_beyond_loopback_a_node_is_neither_plain_nor_open_unless_that_is_said(address: str) -> None:
    listen, tls = f"http.listen={address}", ("http.tls_cert=c.pem", "http.tls_key=k.pem")
    assert refusal(listen).code == "unsafe-listen"
    assert refusal(listen, *tls).code == "unsafe-listen"
    assert refusal(listen, "http.require=capability").code == "unsafe-listen"

    def accepted(*settings: str) -> Profile:
        return load_profile("minimal-peer", [listen, *settings])

    assert accepted(*tls, "http.require=capability").http.tls
    assert accepted("http.allow_open_beyond_loopback=true").http.require == "signer"


@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.9.9.9:0", "[::1]:0", "localhost:0"])
def test_on_loopback_it_may_be(address: str) -> None:
    assert load_profile("minimal-peer", [f"http.listen={address}"]).http.require == "signer"


def test_peers_of_a_profile_have_addresses_and_are_counted() -> None:
    other = did_of(SigningKey(bytes([1]) * 32).kid)
    peers = f"roles.gossip.peers={[f'{DID}@a.example:1', f'{other}@[::1]:2', f'{DID}@127.0.0.1:3']}"
    gossip = load_profile("minimal-peer", [peers]).roles.gossip
    assert gossip is not None
    assert gossip.pinned == {parse_did(DID): ("a.example:1", "127.0.0.1:3"), parse_did(other): ("[::1]:2",)}
    assert "max_peers" in refusal(peers, "roles.gossip.max_peers=1").detail


def test_a_file_that_is_no_profile(tmp_path: Path) -> None:
    cases: dict[str, Any] = {
        "= =": "mine.toml",
        "[node]\n": "v",
        "v = \udcff": "UTF-8",
        f"v = {'1' * 5000}": "mine.toml",
        f"v = {'[' * 5000}": "mine.toml",
    }
    for text, named in cases.items():
        file = tmp_path / "mine.toml"
        file.write_text(text, "utf-8", "surrogateescape")
        with pytest.raises(Rejected) as caught:
            load_profile(str(file))
        assert caught.value.code == "profile-invalid"
        assert named in caught.value.detail
    with pytest.raises(Rejected) as caught:
        load_profile("minimal-pear")
    assert "did you mean minimal-peer?" in caught.value.detail
