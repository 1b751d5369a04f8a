"""`people …` and `audit …` as a person at the terminal uses them, on a database of their own."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from controller.cli import main
from tests.support.controller_desk import plain_config
from tests.support.pki import DevelopmentKeys

PASSWORD = "một mật khẩu rất dài"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, pki: DevelopmentKeys) -> Path:
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(plain_config(pki), allow_unicode=True))
    (tmp_path / "password").write_text(PASSWORD + "\n")
    return tmp_path


@pytest.fixture
def run(folder: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    def command(*words: str) -> tuple[int, str, str]:
        at = 3 if words[1] == "token" else 2
        code = main([*words[:at], str(folder / "c.yaml"), *words[at:]])
        out, err = capfd.readouterr()
        return code, out, err

    return command


def add(run: Run, folder: Path, name: str, *roles: str) -> tuple[int, str, str]:
    given = [word for role in roles for word in ("--role", role)]
    return run("people", "add", name, "--title", name.title(), *given, "--password-file", str(folder / "password"))


def test_the_first_administrator_is_made_from_nothing(run: Run, folder: Path) -> None:
    assert run("people", "list")[1] == "nothing to show\n"
    code, out, err = add(run, folder, "mai", "administrator", "operator@dong")
    assert (code, "administrator@*, operator@dong" in out, err) == (0, True, "")
    assert PASSWORD not in (folder / "state" / "c.sqlite").read_bytes().decode("latin-1")
    code, _, err = add(run, folder, "mai")
    assert (code, "taken already" in err) == (1, True)
    assert "mai   Mai    active  administrator@*, operator@dong  no" in run("people", "list")[1]
    assert run("people", "role", "mai", "--role", "viewer")[1] == "mai: viewer@*\n"
    code, out, _ = run("people", "reset", "mai")
    assert (code, "/invite" in out, "mai" in out) == (0, True, True)
    assert "invited" in run("people", "list")[1]
    assert run("people", "disable", "mai")[0] == 0
    assert "disabled" in run("people", "list")[1]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("people", "add", "Mai!", "--invite"), "is no name"),
        (("people", "add", "mai", "--invite", "--role", "king"), "is no role; roles: viewer"),
        (("people", "add", "mai", "--invite", "--role", "viewer@nowhere"), "known areas: doai, dong, xa"),
        (("people", "add", "mai", "--password-file", "/none"), "cannot be read"),
        (("people", "disable", "nobody"), "there is no account"),
        (("people", "token", "add", "x", "--role", "viewer", "--days", "9999"), "a token lives 1 to 730"),
        (("people", "token", "revoke", "0000000000"), "there is no token"),
        (("audit", "verify", "--public-key", "zz"), "64 hexadecimal digits"),
    ],
)
def test_what_is_wrong_is_said(run: Run, words: tuple[str, ...], named: str) -> None:
    code, out, err = run(*words)
    assert code in {1, 2}
    assert named in err
    assert "Traceback" not in out + err


def test_a_poor_password_makes_nobody(run: Run, folder: Path) -> None:
    (folder / "password").write_text("short\n")
    assert add(run, folder, "mai")[0] == 1
    assert run("people", "list")[1] == "nothing to show\n"


def test_a_token_is_shown_once(run: Run) -> None:
    code, out, _ = run("people", "token", "add", "bảng tin", "--role", "viewer@dong", "--days", "7")
    assert (code, out.startswith("lx_")) == (0, True)
    listed = run("people", "token", "list")[1]
    assert "bảng tin" in listed
    assert out.strip() not in listed
    assert run("people", "token", "revoke", out[3:13])[0] == 0
    assert run("people", "token", "list")[1] == "nothing to show\n"


def test_an_edited_log_is_named(run: Run, folder: Path) -> None:
    for name in ("mai", "lan", "nam"):
        add(run, folder, name)
    key = folder / "state" / "audit.key"
    assert run("audit", "verify")[0] == 2, "nobody has signed anything yet"
    assert not key.exists()
    exported = run("audit", "export")[1].splitlines()
    assert [json.loads(line)[5] for line in exported] == ["people"] * 3
    assert "lan: added" in run("audit", "show", "--limit", "2")[1]
    public = "--public-key", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    code, out, _ = run("audit", "verify", *public)
    assert (code, "good: 3 entries" in out, "the last 3 are not signed yet" in out) == (0, True, True)
    with sqlite3.connect(folder / "state" / "c.sqlite") as connection:
        connection.execute("UPDATE audit SET detail = 'nobody: added' WHERE number = 2")
    connection.close()
    code, out, err = run("audit", "verify", *public)
    assert (code, err) == (1, "entry 2 was altered: its words do not give its hash\n")
    assert out.startswith("FAULTS FOUND")


def test_the_password_may_come_by_standard_input(run: Run) -> None:
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(PASSWORD.encode() + b"\n"))
    try:
        code, _, err = run("people", "add", "mai", "--password-file", "-")
    finally:
        sys.stdin = before
    assert (code, err) == (0, "")
