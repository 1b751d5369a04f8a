"""A table for ceremonies in tests: cheap derivations, passphrases that are typed, a clock that stands.

Shares and keys are made by the product's own verbs; only what a guess costs is different.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from controller.adapters.keys.key_bench import Bench
from controller.adapters.keys.key_files import write_new
from controller.adapters.keys.keyset_verbs import create_operational
from controller.adapters.keys.passphrases import Passphrases
from controller.adapters.keys.root_verbs import create_root
from controller.keys.sealed_key import Cost
from protocol.keyring import RootKeys

CHEAP = Cost(memory_kib=64, passes=1, lanes=1)
NOW_MS = 1_795_000_000_000
DAY_MS = 24 * 3600 * 1000


def phrase_of(name: str) -> str:
    """A passphrase that may be used, another for each name."""
    return f"Sông Mã chảy qua {name[::-1]} lúc bình minh"


@dataclass(slots=True)
class Table:
    """What was told, and benches for those who sit at it."""

    told: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    now_ms: int = NOW_MS

    def bench(self, *phrases: str, is_confirmed: bool = True) -> Bench:
        """Somebody who types these passphrases, twice where a new one is asked for twice."""
        typed: Iterator[str] = iter(phrases)
        return Bench(
            passphrases=Passphrases(prompt=lambda _: next(typed)),
            is_confirmed=is_confirmed,
            root_cost=CHEAP,
            operational_cost=CHEAP,
            tell=self.told.append,
            ask=lambda _: self.answers.pop(0),
            read_now_ms=lambda: self.now_ms,
        )

    def holder(self, *names: str) -> Bench:
        """Whoever knows the passphrases of these keys."""
        return self.bench(*(phrase_of(name) for name in names))

    def make_root(self, folder: Path, *, after: RootKeys | None = None, keep: tuple[str, ...] = ()) -> RootKeys:
        """Two of three, each with a passphrase of its own."""
        version = 1 if after is None else after.version + 1
        stem = "root" if after is None else f"root-v{version}"
        names = [f"{stem}-{number}" for number in range(1, 4 - len(keep))]
        typed = [phrase for name in names for phrase in (phrase_of(name), phrase_of(name))]
        return create_root(folder, self.bench(*typed), keys=3, threshold=2, after=after, keep=keep)

    def make_key(self, path: Path, key_id: str) -> str:
        """A sealed operational key; returns its public half in hexadecimal."""
        phrase = phrase_of(key_id)
        data, public_key = create_operational(key_id, self.bench(phrase, phrase))
        write_new(path, data, mode=0o600)
        return public_key
