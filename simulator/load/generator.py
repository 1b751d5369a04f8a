"""Crowds in processes of their own: started, asked and stopped over a pipe each.

One process serves some 2,500 nodes on a stream of ten messages a second on one core. A process that does not answer
within its bound has failed; all of them end with whoever started them.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, Self

from simulator.load.crowd import Crowd, CrowdSettings
from simulator.load.tally import Order, Tally, total

NODES_A_PROCESS: Final = 2_500
PROCESSES_MAX: Final = 4
ANSWER_S_MAX: Final = 20.0
_SERVE_S: Final = 0.05


class GeneratorError(Exception):
    """A process of the generator ended or does not answer."""


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection


class Generator:
    """Light nodes in as many processes as they need; a context manager."""

    def __init__(self, settings: CrowdSettings, *, processes: int | None = None) -> None:
        count = processes or min(PROCESSES_MAX, -(-len(settings.nodes) // NODES_A_PROCESS))
        context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        for index in range(count):
            ours, theirs = context.Pipe()
            share = dataclasses.replace(
                settings,
                nodes=settings.nodes[index::count],
                connections_per_s=settings.connections_per_s / count,
            )
            process = context.Process(target=serve, args=(share, theirs, os.getpid()), daemon=True)
            process.start()
            theirs.close()
            self._workers.append(_Worker(process, ours))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def pids(self) -> list[int]:
        """The processes."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def look(self) -> Tally:
        """Connections and totals, without what is long: quick, for waiting."""
        return total(self._ask("look"))

    def collect(self) -> Tally:
        """Everything counted until now."""
        return total(self._ask("collect"))

    def listen(self, audio_topics: Sequence[str]) -> None:
        """Have everybody subscribe to streams."""
        self._ask("listen", tuple(audio_topics))

    def ask_time(self, every_s: float | None) -> None:
        """Have every node ask for the time at this interval, counted anew; None ends it."""
        self._ask("ask_time", every_s)

    def forget_audio(self) -> None:
        """Begin to count audio anew."""
        self._ask("forget_audio")

    def take_orders(self) -> list[Order]:
        """The orders received since the last call."""
        whole = Tally()
        for orders in self._ask("take_orders"):
            whole.add(Tally(orders=orders))
        return list(whole.orders.values())

    def stop(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.pipe.close()
        deadline_s = time.monotonic() + ANSWER_S_MAX / 4
        for worker in self._workers:
            worker.process.join(max(0.1, deadline_s - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers.clear()

    def _ask(self, what: str, *arguments: object) -> list[Any]:
        try:
            for worker in self._workers:
                worker.pipe.send((what, *arguments))
            return [self._answer(worker) for worker in self._workers]
        except (OSError, EOFError) as error:
            raise GeneratorError(f"a process of the load generator has ended: {error!r}") from error

    def _answer(self, worker: _Worker) -> Any:  # noqa: ANN401 - what was asked for
        if not worker.pipe.poll(ANSWER_S_MAX):
            raise GeneratorError(f"process {worker.process.pid} of the load generator does not answer")
        return worker.pipe.recv()


def serve(settings: CrowdSettings, pipe: Connection, parent: int) -> None:
    """The process of one crowd: serves until the pipe is closed or its parent is gone."""
    crowd = Crowd(settings)
    try:
        while os.getppid() == parent:
            crowd.serve(_SERVE_S)
            while pipe.poll():
                what, *arguments = pipe.recv()
                pipe.send(_do(crowd, what, arguments))
    except (EOFError, OSError, KeyboardInterrupt):
        return
    finally:
        crowd.close()


def _do(crowd: Crowd, what: str, arguments: list[Any]) -> object:
    match what:
        case "look":
            counts = crowd.counts
            return Tally(
                nodes=counts.nodes,
                ready=counts.ready,
                clocks=counts.clocks,
                connections=counts.connections,
                lost=counts.lost,
                failed=counts.failed,
                first_failure=counts.first_failure,
                messages=counts.messages,
                message_bytes=counts.message_bytes,
                statuses=counts.statuses,
            )
        case "collect":
            return crowd.counts
        case "listen":
            crowd.listen(*arguments)
        case "ask_time":
            crowd.ask_time(*arguments)
        case "forget_audio":
            crowd.forget_audio()
        case "take_orders":
            return crowd.take_orders()
    return None
