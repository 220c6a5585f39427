"""Real processes over TLS on loopback: they pair, agree, and agree again whatever ends in between."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.faults.scene import Acknowledged, begin_namespace, publish
from tests.multi.mesh import agree, introduce_all, mesh, pair, until


def test_two_nodes_pair_by_a_ticket_and_share_what_is_published(tmp_path: Path) -> None:
    with mesh(tmp_path, 2) as (one, two):
        at_one, at_two = Acknowledged(), Acknowledged()
        begin_namespace(one.process)
        assert publish(one.process, "before", at_one).status_code == 201
        pair(one, two)
        until(lambda: two.has(at_one), "what was there before they knew each other")
        assert publish(two.process, "after", at_two).status_code == 201
        until(lambda: one.has(at_two), "what was published at the other")
        two.kill()
        assert publish(one.process, "meanwhile", at_one).status_code == 201
        two.start()
        until(lambda: two.has(at_one), "what was published while it was gone")
        until(lambda: agree([one, two]), "one state")
        assert [peer["node"] for peer in one.peers()] == [two.process.node]
        for member, known in ((one, at_one), (two, at_two)):
            member.kill()
            known.check(member.home)


@pytest.mark.slow
def test_five_nodes_that_are_killed_and_started_agree_in_the_end(tmp_path: Path) -> None:
    rng = Random(5)
    with mesh(tmp_path, 5) as members:
        introduce_all(members)
        promised = [Acknowledged() for _ in members]
        begin_namespace(members[0].process)
        until(lambda: agree(members) and members[4].hosts(), "everybody hosts it")
        for turn in range(4):
            down = rng.sample(range(5), 2)
            for at in down:
                members[at].kill()
            for at, member in enumerate(members):
                for number in range(10 if at not in down else 0):
                    assert publish(member.process, f"t{turn}n{at}x{number}", promised[at]).status_code == 201
            for at in down:
                members[at].start()
        until(lambda: agree(members), "one state")
        assert all(member.has(known) for member in members for known in promised)
        for member, known in zip(members, promised, strict=True):
            member.kill()
            known.check(member.home)
