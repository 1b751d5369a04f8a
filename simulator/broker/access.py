"""The broker's access rules: reads the same file that Mosquitto reads, and decides as Mosquitto decides.

`user NAME` begins the rules of one identity; `topic [read|write|readwrite|deny] FILTER` belongs to it (before any
`user`, to nobody: anonymous clients are not let in); `pattern ...` holds for every identity, with %u its name and
%c its client id, which here is the same. What no rule allows is denied; a matching deny wins. As in Mosquitto,
a subscription is always granted, and reading is decided message by message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_VERBS: Final = {
    "read": (True, False),
    "write": (False, True),
    "readwrite": (True, True),
    "deny": (False, False),
}
_DECISIONS_MAX: Final = 500_000
"""Decisions remembered: a province of 5,000 poles with a hundred topics each, about 100 MB at the very worst."""


class AccessRulesError(ValueError):
    """The access file cannot be understood; the text names the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    may_read: bool
    may_write: bool
    is_denial: bool
    levels: tuple[str, ...]


class AccessRules:
    """Who may read and write what."""

    def __init__(self, text: str) -> None:
        """Read a Mosquitto access file; raises AccessRulesError with the line's number."""
        self._own: dict[str, list[_Rule]] = {}
        self._patterns: list[_Rule] = []
        self._decisions: dict[tuple[str, str], tuple[bool, bool]] = {}
        user: str | None = None
        for number, raw in enumerate(text.splitlines(), start=1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            word, _, rest = line.partition(" ")
            if word == "user" and rest.strip():
                user = rest.strip()
                self._own.setdefault(user, [])
            elif word == "pattern" and rest.strip():
                self._patterns.append(_rule_of(rest))
            elif word == "topic" and rest.strip():
                if user is not None:
                    self._own[user].append(_rule_of(rest))
            else:
                message = f"line {number} of the access rules is not understood: {line!r}"
                raise AccessRulesError(message)

    def may_read(self, identity: str, topic: str) -> bool:
        """Whether a message on this topic may be delivered to this identity."""
        return (self._decisions.get((identity, topic)) or self._decide(identity, topic))[0]

    def may_write(self, identity: str, topic: str) -> bool:
        """Whether this identity may publish on this topic."""
        return (self._decisions.get((identity, topic)) or self._decide(identity, topic))[1]

    def _decide(self, identity: str, topic: str) -> tuple[bool, bool]:
        levels = topic.split("/")
        may_read = may_write = False
        for rule in self._own.get(identity, ()):
            if _is_match(rule.levels, levels):
                if rule.is_denial:
                    return self._remember(identity, topic, (False, False))
                may_read, may_write = may_read or rule.may_read, may_write or rule.may_write
        for rule in self._patterns:
            own = tuple(level.replace("%u", identity).replace("%c", identity) for level in rule.levels)
            if _is_match(own, levels):
                if rule.is_denial:
                    return self._remember(identity, topic, (False, False))
                may_read, may_write = may_read or rule.may_read, may_write or rule.may_write
        return self._remember(identity, topic, (may_read, may_write))

    def _remember(self, identity: str, topic: str, decision: tuple[bool, bool]) -> tuple[bool, bool]:
        if len(self._decisions) >= _DECISIONS_MAX:
            self._decisions.clear()
        self._decisions[identity, topic] = decision
        return decision


def _rule_of(text: str) -> _Rule:
    verb, _, rest = text.strip().partition(" ")
    if verb in _VERBS and rest.strip():
        may_read, may_write = _VERBS[verb]
        filter_text = rest.strip()
    else:
        may_read = may_write = True
        filter_text = text.strip()
    return _Rule(may_read=may_read, may_write=may_write, is_denial=verb == "deny", levels=tuple(filter_text.split("/")))


def _is_match(levels: tuple[str, ...], topic: list[str]) -> bool:
    for index, level in enumerate(levels):
        if level == "#":
            return True
        if index >= len(topic) or (level not in {"+", topic[index]}):
            return False
    return len(levels) == len(topic)
