"""`loaxa-edge` as a technician meets it: help, check, show, silence, and what it says of mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.node_files import NodeFiles, write_node_files
from tests.support.pki import DevelopmentKeys, make_pki


def edge(*arguments: str, files: NodeFiles | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **(files.environment if files else {})}
    return subprocess.run(
        [sys.executable, "-m", "edge.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=environment,
    )


@pytest.fixture
def files(tmp_path: Path, pki: DevelopmentKeys) -> NodeFiles:
    return write_node_files(tmp_path / "node", pki.folder)


def test_help_has_examples_and_version_is_told() -> None:
    told = edge("--help")
    assert told.returncode == 0
    assert "loaxa-edge run /etc/loaxa/edge.yaml" in told.stdout
    assert edge("--version").stdout.startswith("loaxa-edge ")


@pytest.mark.parametrize("arguments", [(), ("dance", "x"), ("run",)])
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    told = edge(*arguments)
    assert told.returncode == 2
    assert "usage:" in told.stderr


def test_check_of_a_good_configuration_names_what_it_found(files: NodeFiles) -> None:
    told = edge("check", str(files.config), files=files)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "sound: loaxa_test" in told.stdout
    assert "codec: libopus" in told.stdout
    assert "no relay will click" in told.stdout


def test_check_names_a_sound_device_that_is_missing(tmp_path: Path, pki: DevelopmentKeys) -> None:
    files = write_node_files(tmp_path, pki.folder, sound={"device": "trumpet", "fallback_device": "horn"})
    told = edge("check", str(files.config), files=files)
    assert told.returncode == 1
    assert "problem: sound: no sound device 'trumpet' or 'horn'" in told.stdout


def test_check_takes_the_fallback_and_says_so(tmp_path: Path, pki: DevelopmentKeys) -> None:
    files = write_node_files(tmp_path, pki.folder, sound={"device": "trumpet", "fallback_device": "loaxa_test"})
    told = edge("check", str(files.config), files=files)
    assert told.returncode == 0
    assert "(the fallback" in told.stdout


def test_all_files_that_are_missing_are_named_at_once_with_their_keys(tmp_path: Path, pki: DevelopmentKeys) -> None:
    files = write_node_files(tmp_path, pki.folder, trust={"ca": "no-ca.pem", "report_key": "no.key"})
    for verb in ("check", "run"):
        told = edge(verb, str(files.config), files=files)
        assert told.returncode == 1
        text = told.stdout + told.stderr
        for key in ("trust.root_keys", "trust.ca", "trust.certificate", "trust.private_key", "trust.report_key"):
            assert key in text
        assert "Traceback" not in text


def test_a_certificate_of_another_node_and_readable_keys_are_told(tmp_path: Path) -> None:
    keys = make_pki(tmp_path / "pki", nodes=("N001", "N002"))
    files = write_node_files(tmp_path / "node", keys.folder, node="N002")
    (keys.folder / "nodes" / "N001" / "node.key").chmod(0o644)
    told = edge("check", str(files.config), files=files)
    assert told.returncode == 1
    assert "is for N001, but node is N002" in told.stdout
    assert "chmod 600" in told.stdout


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("report.key", "rubbish", "trust.report_key"),
        ("node.key", "rubbish", "trust.certificate"),
        ("ca.pem", "rubbish", "trust.ca"),
        ("root_keys.json", '{"threshold": 3, "keys": {}}', "trust.root_keys"),
    ],
)
def test_files_that_are_rubbish_are_named(tmp_path: Path, name: str, content: str, words: str) -> None:
    keys = make_pki(tmp_path / "pki", nodes=("N001",))
    (keys.folder / "nodes" / "N001" / name).write_text(content)
    files = write_node_files(tmp_path / "node", keys.folder)
    told = edge("check", str(files.config), files=files)
    assert told.returncode == 1
    assert words in told.stdout
    assert "Traceback" not in told.stdout + told.stderr


def test_a_typo_names_the_path_and_the_allowed_keys(files: NodeFiles) -> None:
    files.config.write_text(files.config.read_text().replace("pin_factory", "pin_factorx"))
    told = edge("run", str(files.config), files=files)
    assert told.returncode == 1
    assert "amplifier.pin_factorx (did you mean pin_factory?)" in told.stderr
    assert "warm_up_ms" in told.stderr


def test_a_configuration_that_is_not_there_is_told(tmp_path: Path) -> None:
    told = edge("run", str(tmp_path / "none.yaml"))
    assert told.returncode == 1
    assert "cannot be read: No such file" in told.stderr


def test_silence_switches_off_even_when_keys_are_missing(tmp_path: Path, pki: DevelopmentKeys) -> None:
    files = write_node_files(tmp_path, pki.folder, trust={})
    told = edge("silence", str(files.config))
    assert told.returncode == 0
    assert "the amplifier is off: pin 17" in told.stdout
    assert json.loads(files.trace.read_text())["level"] == 0


def test_show_of_a_node_that_never_ran_says_so(files: NodeFiles) -> None:
    told = edge("show", str(files.config), files=files)
    assert told.returncode == 1
    assert "has not run yet" in told.stderr
