"""Giving way: who writes lets who answers go first, and still gets on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf
from pathlib import Path

from holo.store.store import Request
from holo.store.turn import Turn
from tests.store.people import ALICE, BOB, ROOT, admitted, binding, open_store, policy, submit


def started(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def wait_for(turn: Turn, threads: int) -> None:
    """Until so many threads wait for the turn to end."""
    while turn.waiting < threads:
        threading.Event().wait(0.001)


def test_nobody_waits_where_no_turn_is_taken() -> None:
    turn = Turn()
    turn.give_way()
    turn.begin()
    turn.end()
    turn.give_way()
    assert turn.waiting == 0


def test_everyone_who_gives_way_goes_on_when_the_turn_ends() -> None:
    turn = Turn(patience_s=inf)
    turn.begin()
    passed: list[int] = []

    def work(number: int) -> None:
        while turn.taken:
            turn.give_way()
        passed.append(number)

    threads = [started(lambda number=number: work(number)) for number in range(3)]  # type: ignore[misc]
    wait_for(turn, 3)
    assert not passed
    turn.end()
    for thread in threads:
        thread.join()
    assert sorted(passed) == [0, 1, 2]
    assert turn.waiting == 0


def test_a_turn_that_is_never_given_back_holds_nobody_up_for_good() -> None:
    turn = Turn(patience_s=inf)
    turn.begin()
    turn.give_way()
    assert turn.taken
    assert turn.waiting == 0, "who gave up waiting is not remembered"


def test_who_has_waited_long_enough_waits_no_more_for_a_while() -> None:
    turn = Turn(patience_s=0, slice_s=inf)
    turn.begin()
    waits = 0

    def work() -> None:
        for _ in range(1000):
            turn.give_way()

    thread = started(work)
    while thread.is_alive():
        waits = max(waits, turn.waiting)
    assert turn.taken
    assert waits <= 1


def test_a_commit_and_a_head_let_a_turn_pass_and_lose_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path / "r")
    genesis = policy(ALICE, BOB)
    admitted(store, submit(genesis, ROOT))
    store.turn = store._env.turn = Turn(patience_s=inf)
    submissions = [submit(binding(genesis, f"n{number}", 1, b"x"), ALICE) for number in range(20)]
    done: list[object] = []
    for work in (lambda: store.commit([Request(submissions)]), store.make_head):
        store.turn.begin()
        thread = started(lambda work=work: done.append(work()))  # type: ignore[misc]
        wait_for(store.turn, 1)
        with store.view() as view:
            assert view.log.size == (1 if not done else 21), "readers see the last commit meanwhile"
        store.turn.end()
        thread.join()
    with store.view() as view:
        assert (view.log.size, view.log.head_size) == (21, 21)
    store.close()
