"""Hashes and checks passwords with argon2id, off the loop, a few at a time.

Rules kept: a name that nobody has costs as much as one that somebody has; a hash made with other parameters than
today's is made anew at the next right password; more hashing than the machine bears is refused, not queued for ever.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from controller.errors import RequestCode, RequestError
from controller.people.model import PASSWORD_CHARACTERS_MAX, plain_password

T = TypeVar("T")
AT_ONCE: Final = 2
"""Hashes computed at one time: an emergency is not kept waiting for a core."""
WAITING_MAX: Final = 32
"""Logins waiting for their turn: some seconds of work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordCost:
    """argon2id's parameters; the usual ones are RFC 9106's second recommendation (64 MiB, three passes)."""

    memory_kib: int = 65_536
    passes: int = 3
    lanes: int = 4


class Passwords:
    """One process's hashing."""

    def __init__(self, cost: PasswordCost | None = None) -> None:
        cost = cost or PasswordCost()
        self._hasher = argon2.PasswordHasher(
            time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes, type=argon2.Type.ID
        )
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """A new hash of a checked password."""
        return await self._off_the_loop(lambda: self._hasher.hash(password))

    async def check(self, password: str, stored: str) -> tuple[bool, str | None]:
        """Whether it is right, and a better hash where the stored one is dated. "" is nobody's, at the same cost."""
        plain = plain_password(password[: PASSWORD_CHARACTERS_MAX * 4])
        is_right = await self._off_the_loop(lambda: self._verify(stored or self._decoy, plain))
        if not is_right or not stored:
            return False, None
        return True, await self.hash(plain) if self._hasher.check_needs_rehash(stored) else None

    @functools.cached_property
    def _decoy(self) -> str:
        return self._hasher.hash(secrets.token_hex(16))

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _off_the_loop(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise RequestError(RequestCode.TOO_MANY, "too many logins at once; try again in a few seconds")
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1
