"""Fixtures for every test: keys, a real broker, and a watch over what a test leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio

from tests.support.broker import RealBroker, real_broker
from tests.support.pki import CONTROLLER, DevelopmentKeys, make_pki

LEAK_S_MAX = 2.0
"""How long a test's threads and tasks may take to end after it."""
LASTING_THREADS = ("ThreadPoolExecutor", "asyncio_", "pydevd", "fsspec")
"""Pools that live as long as the process, by the beginning of their names."""
hypothesis.settings.register_profile("untimed", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("untimed")  # how long an example takes says how busy the machine is, and no more


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentKeys:
    """Development keys for controller1 and N001 to N003; shared by all tests, so nobody may change them."""
    return make_pki(tmp_path_factory.mktemp("pki") / "keys")


@pytest.fixture
def broker(tmp_path: Path, pki: DevelopmentKeys) -> Iterator[RealBroker]:
    """A real broker with TLS, client certificates and the product's access rules, started."""
    with real_broker(tmp_path / "broker", pki.folder, controllers=(CONTROLLER,)) as running:
        yield running


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """A test that leaves a thread behind fails."""
    before = set(threading.enumerate())
    yield
    leaked = _lasting_after(before)
    if leaked:
        pytest.fail(f"threads left running: {sorted(thread.name for thread in leaked)}")


@pytest_asyncio.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    """A test that leaves a task of asyncio behind fails."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)  # a task that was cancelled at the end of the test ends here
    own = asyncio.current_task()
    leaked = [task for task in asyncio.all_tasks() - before if task is not own and not task.done()]
    for task in leaked:
        task.cancel()
    if leaked:
        pytest.fail(f"tasks left running: {[task.get_name() + ' ' + repr(task.get_coro()) for task in leaked]}")


def _lasting_after(before: set[threading.Thread]) -> list[threading.Thread]:
    deadline_s = time.monotonic() + LEAK_S_MAX
    leaked: list[threading.Thread] = []
    while True:
        leaked = [t for t in set(threading.enumerate()) - before if not t.name.startswith(LASTING_THREADS)]
        if not leaked or time.monotonic() > deadline_s:
            return leaked
        for thread in leaked:
            with contextlib.suppress(RuntimeError):  # one that is just being started cannot be waited for yet
                thread.join(0.05)
