"""The demo's children: started again when they die, gone when asked, gone with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.demo.processes import RESTARTS_MAX, ChildError, Children, how_it_ended

pytestmark = pytest.mark.alone

WAIT_S_MAX = 10.0


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_child_is_noticed_and_started_again(tmp_path: Path) -> None:
    children = Children(tmp_path)
    first = children.start("sleeper", ["sleep", "60"]).pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    noticed = []

    def started_again() -> bool:
        noticed.extend(children.watch())
        return children["sleeper"].pid not in {None, first}

    until(started_again)
    assert [(ended.name, ended.how) for ended in noticed] == [("sleeper", "killed by SIGKILL")]
    assert children.restarts() == {"sleeper": 1}
    second = children["sleeper"].pid
    children.stop()
    assert second is not None
    assert not is_alive(second)


def test_a_child_that_ignores_the_request_to_end_is_killed_with_its_children(tmp_path: Path) -> None:
    children = Children(tmp_path, stop_s=0.3)
    script = "trap '' TERM; sleep 61 & echo $!; while :; do sleep 0.1; done"
    child = children.start("stubborn", ["sh", "-c", script])
    until(lambda: child.log.read_text().endswith("\n"))
    grandchild = int(child.log.read_text())
    stubborn = child.pid
    children.stop()
    assert stubborn is not None
    assert not is_alive(stubborn)
    until(lambda: not is_alive(grandchild))


def test_children_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib\n"
        "from simulator.demo.processes import Children\n"
        "child = Children(pathlib.Path(sys.argv[1])).start('sleeper', ['sleep', '60'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
    until(lambda: not is_alive(child))


def test_a_child_that_keeps_dying_is_given_up_with_the_end_of_its_log(tmp_path: Path) -> None:
    children = Children(tmp_path, restart_pause_s=0.0)
    children.start("broken", ["sh", "-c", "echo the reason >&2; exit 3"])

    def watch_for_ever() -> None:
        deadline = time.monotonic() + WAIT_S_MAX
        while time.monotonic() < deadline:
            children.watch()

    with pytest.raises(ChildError, match="the reason") as error:
        watch_for_ever()
    assert str(tmp_path / "broken.log") in str(error.value)
    assert children["broken"].restarts == RESTARTS_MAX + 1


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    children = Children(tmp_path)
    child = children.start("absent", ["no-such-program"])
    until(lambda: child.pid is None)
    assert "no-such-program" in child.log.read_text()


@pytest.mark.parametrize(("code", "words"), [(-9, "killed by SIGKILL"), (3, "ended with status 3")])
def test_an_end_is_told_in_words(code: int, words: str) -> None:
    assert how_it_ended(code) == words
