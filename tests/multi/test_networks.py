"""Hosts on a network of their own, one of them cut off from the others while everybody goes on publishing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.scene import GENESIS, Acknowledged, begin_namespace, encoded, publish
from tests.multi.lan import Host, Lan, lan
from tests.multi.mesh import Member, agree, introduce_all, mesh, until
from tests.store.people import ALICE, binding

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are of Linux"),
    pytest.mark.slow,
]


def publish_fork(member: Member, content: str, known: Acknowledged) -> str:
    """Publish the name that others publish, too, with another content; the statement."""
    statement = binding(GENESIS, "forked", 1, content.encode())
    answer = member.http.post("/v1/namespaces/acme/bindings", json={"records": [encoded(statement, ALICE)]})
    assert answer.status_code == 201
    known.receipts[statement.id] = answer.json()["receipt"]
    return str(statement.id)


def resolve_fork(member: Member) -> dict[str, Any]:
    """What a node makes of the forked name."""
    found: dict[str, Any] = member.http.get("/v1/resolve", params={"handle": "acme/forked", "tag": "stable"}).json()
    return found


@pytest.mark.parametrize(
    ("cut", "mend"), [(Lan.unplug, Lan.plug_in), (Lan.drop, Lan.carry)], ids=["link-down", "packets-dropped"]
)
def test_hosts_agree_again_when_one_that_was_cut_off_is_back(
    tmp_path: Path, cut: Callable[[Lan, Host], None], mend: Callable[[Lan, Host], None]
) -> None:
    with lan(3) as net, mesh(tmp_path, 3, net.hosts) as members:
        alone, promised = members[2], [Acknowledged() for _ in members]
        introduce_all(members)
        begin_namespace(members[0].process)
        until(lambda: all(member.hosts() for member in members) and agree(members), "everybody hosts it")
        cut(net, net.hosts[2])
        for at, member in enumerate(members):
            for number in range(5):
                assert publish(member.process, f"n{at}x{number}", promised[at]).status_code == 201
        forks = [Acknowledged(), Acknowledged()]
        forked = [
            publish_fork(members[0], "of the many", forks[0]),
            publish_fork(alone, "of the one", forks[1]),
        ]
        until(lambda: members[0].has(promised[1]) and members[1].has(promised[0]), "those who see each other go on")
        assert not alone.statements() & {str(id) for known in promised[:2] for id in known.receipts}
        mend(net, net.hosts[2])
        until(
            lambda: agree(members) and all(member.has(known) for member in members for known in promised), "one state"
        )
        outcome, *others = [resolve_fork(member) for member in members]
        assert others == [outcome, outcome]
        assert outcome["outcome"] == "held"  # two truths of one name: nobody picks one by when it heard of it
        assert outcome["steps"][-1] == {"code": "name-settled", "subject": min(forked), "ok": False, "n": 2}
        for member, known, fork in zip(members, promised, (forks[0], Acknowledged(), forks[1]), strict=True):
            member.kill()
            known.check(member.home)
            fork.check(member.home)
