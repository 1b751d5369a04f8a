"""The real database behind a simulated controller: every commit goes through SQL, every start loads from it.

In virtual time a commit takes as long as in `simulator.services.database`; the machine's own disk takes its own time
meanwhile, of which nothing simulated takes notice. So the same history gives the same log, and what is left behind is
a database as a real controller leaves it, for the product's own commands to read.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from controller.adapters.database import open_database
from controller.records import Change, Kept
from simulator.services.database import SimulatedDatabase

FAREWELL_LOOKS: Final = 200
FAREWELL_LOOK_S: Final = 0.01


class RealDatabase(SimulatedDatabase):
    """`SimulatedDatabase` on an SQLite file, from which it loads; what it remembers besides is for whoever watches."""

    def __init__(self, path: Path) -> None:
        """Raises DatabaseError for a file that cannot be opened."""
        super().__init__()
        self.address: Final = f"sqlite:///{path}"
        self.commits = 0
        self._runner: Final = asyncio.Runner()
        others = frozenset(threading.enumerate())
        try:
            self._sql = self._runner.run(open_database(self.address))
        except BaseException:
            # the driver's thread of a file that cannot be opened still has its farewell to say to the loop
            self._runner.run(_ended(others))
            self._runner.close()
            raise

    def load(self) -> Kept:
        """See `SimulatedDatabase.load`."""
        return self._runner.run(self._sql.load())

    def commit(self, changes: Sequence[Change]) -> None:
        """See `SimulatedDatabase.commit`."""
        self._runner.run(self._sql.commit(changes))
        self.commits += 1
        super().commit(changes)

    def close(self) -> None:
        """Let go of the file."""
        self._runner.run(self._sql.close())
        self._runner.close()


async def _ended(others: frozenset[threading.Thread]) -> None:
    """Wait, in bounded time, until there are no threads but these."""
    for _ in range(FAREWELL_LOOKS):
        if frozenset(threading.enumerate()) <= others:
            break
        await asyncio.sleep(FAREWELL_LOOK_S)
