"""The watch over what tests leave behind, tried on tests that leave something."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LEAVES_A_TASK = """
import asyncio
kept = []
async def test_planted():
    kept.append(asyncio.get_running_loop().create_task(asyncio.sleep(60), name="forgotten"))
"""
LEAVES_A_THREAD = """
import threading
def test_planted():
    threading.Thread(target=threading.Event().wait, args=(20,), name="forgotten", daemon=True).start()
"""
LEAVES_NOTHING = """
import asyncio, threading
async def test_planted():
    task = asyncio.create_task(asyncio.sleep(60))
    task.cancel()
    thread = threading.Thread(target=int)
    thread.start()
"""


def run_planted(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    planted = folder / "test_planted.py"
    planted.write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    options = ["-c", "/dev/null", "-o", "asyncio_mode=auto", "--rootdir", str(folder), str(planted)]
    return subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(("text", "complaint"), [(LEAVES_A_TASK, "tasks left"), (LEAVES_A_THREAD, "threads left")])
def test_a_test_that_leaves_something_behind_fails(tmp_path: Path, text: str, complaint: str) -> None:
    result = run_planted(tmp_path, text)
    assert result.returncode == 1, result.stdout + result.stderr
    assert complaint in result.stdout
    assert "forgotten" in result.stdout


def test_a_test_that_cleans_up_passes(tmp_path: Path) -> None:
    result = run_planted(tmp_path, LEAVES_NOTHING)
    assert result.returncode == 0, result.stdout + result.stderr
