"""Which passphrases may guard a key file.

Whoever steals the file can try passphrases for years and nobody counts; so more is asked than of a password that
somebody counts the tries of. The derivation makes each try slow (`sealed_key`), the rule here makes them many.

Rules kept: the same letters from every keyboard are the same passphrase; what is easily guessed (the key's own name,
the product's, the usual words, rows and repetitions) counts for nothing, and what is left must still be long.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from controller.errors import KeyFileError

CHARACTERS_MIN: Final = 14
"""Four words of a Vietnamese sentence, or 14 random letters: beyond 60 bits if chosen by chance."""
CHARACTERS_MAX: Final = 1_000
LEFT_MIN: Final = 8
"""Characters that must be left when everything that is easily guessed is taken out."""
DIFFERENT_MIN: Final = 6
_ROW_MIN: Final = 4
"""So many neighbours in the alphabet or on the keyboard are one guess."""
_KEYBOARD: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890", "abcdefghijklmnopqrstuvwxyz")
_GUESSED: Final = ("password", "passphrase", "matkhau", "mật khẩu", "mat khau", "loaxa", "loa xã", "secret", "vietnam")


def normal(text: str) -> bytes:
    """A passphrase as a key is derived from it: without the line's end, letters composed, UTF-8."""
    return unicodedata.normalize("NFKC", text.rstrip("\r\n")).encode()


def checked(text: str, *, names: Iterable[str] = ()) -> bytes:
    """A new passphrase that may be used; raises KeyFileError that says what is missing."""
    plain = unicodedata.normalize("NFKC", text.rstrip("\r\n"))
    if not plain.strip():
        raise KeyFileError("the passphrase is empty; a key without one could be used by whoever finds the file")
    if not CHARACTERS_MIN <= len(plain) <= CHARACTERS_MAX:
        what = f"cụm mật khẩu cần từ {CHARACTERS_MIN} ký tự / a passphrase has at least {CHARACTERS_MIN} characters"
        raise KeyFileError(f"{what} and at most {CHARACTERS_MAX}; this one has {len(plain)}. Four words by chance do")
    if len(set(plain)) < DIFFERENT_MIN or _is_repetition(plain):
        raise KeyFileError("cụm mật khẩu quá đơn giản / the passphrase repeats itself; take four words by chance")
    if len(_unguessed(plain, names)) < LEFT_MIN:
        what = "cụm mật khẩu dễ đoán / the passphrase is easily guessed: it is made of names, common words or rows"
        raise KeyFileError(f"{what} of keys; take four words by chance")
    return plain.encode()


def _is_repetition(text: str) -> bool:
    return any(text == (text[:size] * (len(text) // size + 1))[: len(text)] for size in range(1, len(text) // 2 + 1))


def _unguessed(text: str, names: Iterable[str]) -> str:
    left = text.casefold()
    for word in sorted((*_GUESSED, *(name.casefold() for name in names if name)), key=len, reverse=True):
        left = left.replace(word, "")
    for row in _KEYBOARD:
        for direction in (row, row[::-1]):
            for size in range(len(direction), _ROW_MIN - 1, -1):
                for start in range(len(direction) - size + 1):
                    left = left.replace(direction[start : start + size], "")
    return re.sub(r"\s", "", left)
