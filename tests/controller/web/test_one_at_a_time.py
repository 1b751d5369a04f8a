"""Heavy work: one after another, and whoever asks for more than their share is told so while the others go on."""

from __future__ import annotations

import asyncio

import pytest

from controller.errors import RequestCode, RequestError
from controller.web.one_at_a_time import OF_ALL_MAX, OF_ONE_MAX, OneAtATime


class Work:
    """Work that goes on until it is let go, and notes how much of it there was at one time."""

    def __init__(self) -> None:
        self.queue = OneAtATime()
        self.may_end = asyncio.Event()
        self.under_way = self.most = 0
        self.done: list[str] = []

    async def ask(self, who: str) -> None:
        async with self.queue.turn(who):
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await self.may_end.wait()
            self.under_way -= 1
            self.done.append(who)


async def test_one_after_another_and_nobody_has_all_the_turns() -> None:
    work = Work()
    async with asyncio.TaskGroup() as group:
        for _ in range(OF_ONE_MAX):
            group.create_task(work.ask("many"))
        await asyncio.sleep(0)
        with pytest.raises(RequestError) as refused:
            await work.ask("many")
        assert refused.value.code is RequestCode.TOO_MANY
        group.create_task(work.ask("one"))
        work.may_end.set()
    assert work.done == [*["many"] * OF_ONE_MAX, "one"]
    assert work.most == 1
    await work.ask("many")


async def test_all_together_are_bounded_and_whoever_gives_up_frees_a_place() -> None:
    work = Work()
    waiting = [asyncio.create_task(work.ask(f"p{number}")) for number in range(OF_ALL_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(RequestError):
        await work.ask("another")
    waiting.pop().cancel()
    await asyncio.sleep(0)
    work.may_end.set()
    await asyncio.gather(*waiting, work.ask("another"))
    assert work.done[-1] == "another"
