"""The peers and tickets of a home: written whole, read strictly, and a ticket that counts for one key."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from holo.core.errors import HoloError
from holo.core.keys import SigningKey, did_of
from holo.core.limits import ADDRESSES_PER_PEER, PEERS, TICKETS_OPEN
from holo.store import peers_file
from holo.store.home import Home
from holo.store.peers_file import PeersFile

A, B, C = (SigningKey(bytes([number]) * 32).kid for number in (1, 2, 3))
TICKET, OTHER = bytes(32), bytes([1]) * 32


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(HoloError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def test_peers_are_kept_with_addresses_newest_first(home: Home) -> None:
    file = PeersFile(home, lambda: 5)
    assert file.stamp() is None
    assert file.add(A, ["a:1", "a:2"])
    assert not file.add(A, ["a:2"])
    assert file.add(A, ["a:3"], "alpha")
    (peer,) = PeersFile(home).peers().values()
    assert (peer.kid, peer.addresses, peer.name, peer.added_ms) == (A, ("a:3", "a:1", "a:2"), "alpha", 5)
    assert file.find("alpha") == file.find(did_of(A)) == peer
    for number in range(10):
        file.add(A, [f"b:{number + 1}"])
    assert file.addresses()[A] == tuple(f"b:{number}" for number in range(10, 10 - ADDRESSES_PER_PEER, -1))
    assert file.path.stat().st_mode & 0o077 == 0
    assert (file.remove(A), file.remove(A), file.peers()) == (True, False, {})


def test_what_is_wrong_changes_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    file = PeersFile(home)
    file.add(A, ["a:1"], "alpha")
    before = file.path.read_bytes()
    assert code_of(file.add, B, ["nowhere"]) == "address-invalid"
    assert code_of(file.add, B, [], "No Name") == "label-invalid"
    assert code_of(file.add, B, [], "alpha") == "key-exists"
    monkeypatch.setattr(peers_file, "PEERS", 1)
    assert code_of(file.add, B, ["b:1"]) == "peers-full"
    assert file.path.read_bytes() == before
    assert file.add(A, ["a:2"])


def test_a_successor_takes_the_place_of_its_predecessor(home: Home) -> None:
    file = PeersFile(home)
    file.add(A, ["a:1"], "alpha")
    file.add(B, ["b:1"])
    assert file.succeed(A, B)
    (peer,) = file.peers().values()
    assert (peer.kid, peer.addresses, peer.name) == (B, ("b:1", "a:1"), "alpha")
    assert not file.succeed(A, C)


def test_a_ticket_counts_once_and_until_it_expires(home: Home) -> None:
    now_ms = 1000
    file = PeersFile(home, lambda: now_ms)
    file.open_ticket(TICKET, 2000)
    assert code_of(file.spend_ticket, OTHER, A, []) == "ticket-unknown"
    file.spend_ticket(TICKET, A, ["a:1"])
    file.spend_ticket(TICKET, A, ["a:1"])  # its answer was lost
    assert code_of(file.spend_ticket, TICKET, B, ["b:1"]) == "ticket-spent"
    assert file.addresses() == {A: ("a:1",)}
    file.open_ticket(OTHER, 1500)
    now_ms = 1500
    assert code_of(file.spend_ticket, OTHER, B, []) == "ticket-expired"
    file.open_ticket(bytes([2]) * 32, 3000)  # the expired one is gone from the file with this
    assert code_of(file.spend_ticket, OTHER, B, []) == "ticket-unknown"
    assert b"3031" not in (home.path / "tickets.json").read_bytes()


def test_tickets_are_counted_and_expire(home: Home) -> None:
    now_ms = 0
    file = PeersFile(home, lambda: now_ms)
    for number in range(TICKETS_OPEN):
        file.open_ticket(bytes([number]) * 32, 1000)
    assert code_of(file.open_ticket, bytes([200]) * 32, 1000) == "peers-full"
    now_ms = 1000
    file.open_ticket(bytes([200]) * 32, 2000)
    assert len(json.loads((home.path / "tickets.json").read_bytes())["tickets"]) == 1


def test_of_many_who_come_at_once_one_is_paired(home: Home) -> None:
    file = PeersFile(home)
    file.open_ticket(TICKET, 2**53)
    kids = [SigningKey(bytes([number]) * 32).kid for number in range(10, 22)]
    refused: list[str] = []

    def come(kid: object) -> None:
        try:
            PeersFile(home).spend_ticket(TICKET, kid, [])  # type: ignore[arg-type]
        except HoloError as error:
            refused.append(error.code)

    threads = [threading.Thread(target=come, args=(kid,)) for kid in kids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == ["ticket-spent"] * (len(kids) - 1)
    assert len(file.peers()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "1", "null", '{"v": 2, "peers": {}}', '{"v": 1}', '{"v": 1, "peers": []}',
        '{"v": 1, "peers": {"x": {"addresses": []}}}',
        '{"v": 1, "peers": {"DID": []}}', '{"v": 1, "peers": {"DID": {}}}',
        '{"v": 1, "peers": {"DID": {"addresses": 1}}}',
        '{"v": 1, "peers": {"DID": {"addresses": [1]}}}', '{"v": 1, "peers": {"DID": {"addresses": ["a"]}}}',
        '{"v": 1, "peers": {"DID": {"addresses": ["a:1", "a:1", "a:1", "a:1", "a:1", "a:1", "a:1", "a:1", "a:1"]}}}',
        '{"v": 1, "peers": {"DID": {"addresses": [], "name": "A B"}}}',
        '{"v": 1, "peers": {"DID": {"addresses": [], "name": 1}}}',
        '{"v": 1, "peers": {"DID": {"addresses": [], "added_ms": -1}}}', "[" * 100_000, "\udcff",
    ],
)  # fmt: skip
def test_a_file_that_people_broke_is_named(home: Home, text: str) -> None:
    file = PeersFile(home.create())
    file.path.write_text(text.replace("DID", did_of(A)), "utf-8", "surrogateescape")
    assert code_of(file.peers) == "profile-invalid"
    assert code_of(file.add, B, []) == "profile-invalid"


@pytest.mark.parametrize("entry", ['{"x": {}}', '{"ID": {}}', '{"ID": {"expires_ms": "1"}}', '{"ID": 1}',
                                   '{"ID": {"expires_ms": 1, "spent_by": "x"}}'])  # fmt: skip
def test_so_is_one_of_tickets(home: Home, entry: str) -> None:
    file = PeersFile(home.create())
    (home.path / "tickets.json").write_text(f'{{"v": 1, "tickets": {entry.replace("ID", TICKET.hex())}}}')
    assert code_of(file.spend_ticket, TICKET, A, []) == "profile-invalid"
    assert file.peers() == {}


def test_a_file_of_too_many_peers(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    file = PeersFile(home)
    file.add(A, [])
    file.add(B, [])
    assert PEERS > 2
    monkeypatch.setattr(peers_file, "PEERS", 1)
    assert code_of(file.peers) == "profile-invalid"
