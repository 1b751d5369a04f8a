"""Enrolment beside the loop: before a node can run, and while it runs.

`enrol_first` returns when the unit holds a certificate, or when it is told to end; meanwhile the supervisor hears that
the process lives. `keep_certificate` renews while the node works, and calls `on_renewed` when there is something new.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from edge.adapters.enrolment_run import NodeEnrolment
from edge.adapters.notify import SystemdNotifier, watchdog_interval_s
from edge.enrolment.lifecycle import Happening

LOOK_S_MIN: Final = 0.1
"""Between two steps that follow at once."""


async def enrol_first(enrolment: NodeEnrolment, *, supervisor: SystemdNotifier, stop: asyncio.Event) -> bool:
    """Whether the unit is enrolled; False when it was told to end before."""
    if enrolment.is_enrolled:
        return True
    enrolment.say_where_it_stands()
    supervisor.ready()
    alive = asyncio.create_task(_give_signs_of_life(supervisor), name="signs of life")
    try:
        while not (stop.is_set() or enrolment.is_enrolled):
            todo = enrolment.next_step()
            if todo is not None:
                await asyncio.to_thread(enrolment.do, todo)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(LOOK_S_MIN, enrolment.wait_s()))
    finally:
        alive.cancel()
        await asyncio.gather(alive, return_exceptions=True)
    return enrolment.is_enrolled


async def keep_certificate(enrolment: NodeEnrolment, *, on_renewed: Callable[[], Awaitable[None]]) -> None:
    """Renew, for as long as the node runs."""
    while True:
        todo = enrolment.next_step()
        if todo is None:
            await asyncio.sleep(max(LOOK_S_MIN, enrolment.wait_s()))
        elif await asyncio.to_thread(enrolment.do, todo) is Happening.ISSUED:
            await on_renewed()


async def _give_signs_of_life(supervisor: SystemdNotifier) -> None:
    interval_s = watchdog_interval_s()
    while interval_s is not None:
        supervisor.alive()
        await asyncio.sleep(interval_s)
