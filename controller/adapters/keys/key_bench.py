"""What every step of a ceremony works with: the person at the terminal, passphrases, the clock, costs.

The person is shown what is about to be signed and types its version; text goes to standard error, so that standard
output holds nothing but results. Tests bring a bench of their own with cheap costs; there is no option for that.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.adapters.keys.passphrases import Passphrases
from controller.errors import KeyFileError
from controller.keys.sealed_key import OPERATIONAL_COST, ROOT_COST, Cost


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


def _ask(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline()


def _read_now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """See the module's text. `is_confirmed` is the answer given beforehand, for scripts."""

    passphrases: Passphrases = field(default_factory=Passphrases)
    is_confirmed: bool = False
    root_cost: Cost = ROOT_COST
    operational_cost: Cost = OPERATIONAL_COST
    tell: Callable[[str], None] = _tell
    ask: Callable[[str], str] = _ask
    read_now_ms: Callable[[], int] = _read_now_ms

    def confirm(self, shown: str, *, word: str) -> None:
        """Show what is about to be signed and have the person type a word of it; raises KeyFileError otherwise."""
        self.tell(shown)
        if self.is_confirmed:
            return
        answer = self.ask(f"gõ {word} để ký / type {word} to sign: ").strip()
        if answer != word:
            raise KeyFileError("không ký / not signed: something else was typed")
