"""Key files: opened by their passphrase alone, unchanged alone, within bounds; and which passphrases may guard them."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.errors import KeyFileError
from controller.keys.passphrase import CHARACTERS_MIN, checked, normal
from controller.keys.sealed_key import (
    FILE_BYTES_MAX,
    OPERATIONAL_COST,
    ROOT_COST,
    Cost,
    open_sealed_key,
    parse_sealed_key,
    seal_key,
)
from tests.support.ceremony import CHEAP, phrase_of

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PHRASE = checked(phrase_of("x"))


def sealed(key: Ed25519PrivateKey = KEY, *, cost: Cost = CHEAP) -> bytes:
    return seal_key(key, PHRASE, key_id="root-1", purpose="root", cost=cost, salt=bytes(16), nonce=bytes(12))


FILE = sealed()


def opened(data: bytes, phrase: bytes = PHRASE) -> bytes:
    return open_sealed_key(parse_sealed_key(data, name="f"), phrase, name="f").private_bytes_raw()


def changed(**fields: Any) -> bytes:
    plain = json.loads(FILE)
    for path, value in fields.items():
        part, _, name = path.rpartition("__")
        (plain[part] if part else plain)[name] = value
    return json.dumps(plain).encode()


def test_the_passphrase_opens_it_and_nothing_of_the_secret_stands_in_it() -> None:
    assert opened(FILE) == bytes(range(32))
    assert bytes(range(32)).hex().encode() not in FILE
    assert json.loads(FILE)["public_key"] == KEY.public_key().public_bytes_raw().hex()


@pytest.mark.parametrize("phrase", [b"", b"wrong", PHRASE[:-1], PHRASE + b" ", PHRASE.upper()])
def test_a_wrong_passphrase_opens_nothing(phrase: bytes) -> None:
    with pytest.raises(KeyFileError, match="wrong passphrase"):
        opened(FILE, phrase)


@pytest.mark.parametrize(
    "fields",
    [
        {"key_id": "root-2"},
        {"purpose": "operational"},
        {"public_key": "00" * 32},
        {"nonce": "11" * 12},
        {"derivation__salt": "11" * 16},
        {"derivation__passes": 2},
        {"sealed": "00" * 48},
    ],
)
def test_nothing_readable_can_be_changed(fields: dict[str, Any]) -> None:
    with pytest.raises(KeyFileError, match="was changed"):
        opened(changed(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"derivation__memory_kib": 2 * 1024 * 1024},
        {"derivation__memory_kib": 7},
        {"derivation__passes": 17},
        {"derivation__passes": 0},
        {"derivation__lanes": 17},
        {"derivation__lanes": 9},
        {"derivation__name": "argon2i"},
        {"format": "loaxa-key/2"},
        {"cipher": "aes"},
        {"extra": 1},
        {"sealed": "00" * 49},
        {"key_id": "a b"},
    ],
)
def test_a_file_cannot_ask_for_more_than_the_bounds_or_for_anything_else(fields: dict[str, Any]) -> None:
    with pytest.raises(KeyFileError, match="no sealed key file"):
        parse_sealed_key(changed(**fields), name="f")


def test_a_file_of_another_key_than_it_names_is_refused_before_it_signs() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    data = sealed(other).replace(other.public_key().public_bytes_raw().hex().encode(), b"0" * 64)
    with pytest.raises(KeyFileError, match="was changed"):
        opened(data)


def test_a_large_file_is_not_looked_at() -> None:
    with pytest.raises(KeyFileError, match="at most"):
        parse_sealed_key(b" " * (FILE_BYTES_MAX + 1), name="f")


@given(st.binary(max_size=200))
@example(b"{}")
@example(b"\xff{")
@example(b"[" * 4_000)
def test_any_bytes_are_named_as_no_key_file(data: bytes) -> None:
    with pytest.raises(KeyFileError):
        parse_sealed_key(data, name="f")


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=200)
def test_a_changed_byte_never_gives_another_key(at: int, flip: int) -> None:
    at %= len(FILE)
    data = FILE[:at] + bytes([FILE[at] ^ flip]) + FILE[at + 1 :]
    with contextlib.suppress(KeyFileError):
        assert opened(data) == bytes(range(32))  # a changed space does not matter


def test_what_is_usual_is_not_cheap() -> None:
    assert OPERATIONAL_COST.memory_kib * OPERATIONAL_COST.passes >= 3 * 64 * 1024
    assert ROOT_COST.memory_kib * ROOT_COST.passes >= 1024 * 1024


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("   \n", "empty"),
        ("ngắn quá", str(CHARACTERS_MIN)),
        ("aaaaaaaaaaaaaaaaaaaa", "repeats"),
        ("abcdefabcdefabcdef", "repeats"),
        ("12345678901234567890", "repeats"),
        ("password123456789", "guessed"),
        ("matkhau loaxa 2026", "guessed"),
        ("qwertyuiopasdfgh", "guessed"),
        ("root-1 root-1 xyz", "guessed"),
        ("x" * 2_000, str(CHARACTERS_MIN)),
    ],
)
def test_a_weak_passphrase_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(KeyFileError, match=why):
        checked(text, names=("root-1",))


def test_the_same_letters_from_another_keyboard_are_the_same_passphrase() -> None:
    composed, decomposed = (
        "Ti\u1ebfng loa bu\u1ed5i s\u00e1ng \u1edf Tho Xu\u00e2n",
        "Tie\u0302\u0301ng loa buo\u0302\u0309i sa\u0301ng o\u031b\u0309 Tho Xua\u0302n",
    )
    assert checked(composed) == checked(decomposed + "\r\n") == normal(decomposed)
