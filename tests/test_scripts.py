"""What the scripts answer with: `.ci/run` is green just when the checks and both parts of the tests are."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

PYTHON = """#!/bin/sh
case "$*" in
*"not alone"*) echo "== 2 passed in 0.10s =="; exit {rest} ;;
*) echo "== 1 passed in 0.10s =="; exit {alone} ;;
esac
"""


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("checks", "alone", "rest", "status"),
    [(0, 0, 0, 0), (1, 0, 0, 1), (0, 1, 0, 1), (0, 0, 1, 1), (0, 1, 1, 1)],
)
def test_ci_is_green_just_when_checks_and_both_parts_of_the_tests_are(
    tmp_path: Path, checks: int, alone: int, rest: int, status: int
) -> None:
    for name in ("scripts/test", ".ci/run"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    script(tmp_path / "scripts/setup", "#!/bin/sh\n")
    script(tmp_path / "scripts/check", f"#!/bin/sh\nexit {checks}\n")
    script(tmp_path / ".venv/bin/python", PYTHON.format(alone=alone, rest=rest))
    ran = subprocess.run(["bash", ".ci/run"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == status, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[-2:] == ["== 1 passed in 0.10s ==", "== 2 passed in 0.10s =="]
