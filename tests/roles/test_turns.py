"""The event loop goes first: its turn is taken while it works, and given back while it waits."""

from __future__ import annotations

import threading

import trio

from holo.roles.registry.turns import loop_goes_first
from holo.store.turn import Turn


async def test_the_turn_is_taken_while_the_loop_works_and_given_back_while_it_waits() -> None:
    turn = Turn()
    seen: list[bool] = []

    def work() -> None:
        while turn.taken:  # the loop is on its way to wait for us
            turn.give_way()
        seen.append(turn.taken)

    with loop_goes_first(turn):
        seen.append(turn.taken)
        await trio.to_thread.run_sync(work)
        seen.append(turn.taken)
        await trio.lowlevel.checkpoint()
        seen.append(turn.taken)
    await trio.lowlevel.checkpoint()  # the loop takes no turns after the block
    seen.append(turn.taken)
    assert seen == [True, False, True, True, False]


async def test_a_loop_that_never_waits_does_not_keep_a_thread_from_its_work() -> None:
    turn = Turn()
    done = threading.Event()

    def work() -> None:
        for _ in range(100):
            if turn.taken:
                turn.give_way()
        done.set()

    with loop_goes_first(turn):
        thread = threading.Thread(target=work)
        thread.start()
        while not done.is_set():
            await trio.lowlevel.checkpoint()
    thread.join()
