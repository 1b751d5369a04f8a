"""A second process on one state folder is refused, and told why; the end of the first, however it comes, frees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.adapters.one_process import only_process
from edge.errors import StoreError

HOLD = """
import sys
from pathlib import Path
from edge.adapters.one_process import only_process
with only_process(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="runs already"), only_process(folder, wait_s=0.0):
            pass
        first.kill()
        first.wait(10)
        with only_process(folder):
            pass
    finally:
        first.kill()
        first.communicate(timeout=10)


def test_a_folder_that_cannot_be_made_keeps_no_node_from_running(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = []
    with only_process(tmp_path / "file" / "state"):
        ran.append(True)
    assert ran
