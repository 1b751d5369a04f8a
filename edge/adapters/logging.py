"""One line for each decision, readable by a technician at night: time, level, node, what, why.

    2026-11-22T05:30:00.004 INFO  N001 airing started airing=morning-1:1763764200000 title="Bản tin sáng"

Structured as key=value, values with blanks in quotes. Lines from libraries take the same form. Under systemd the
journal has its own time stamps; they are left out there.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from datetime import UTC, datetime
from typing import Final, TextIO

from edge.effects import LogDecision, LogLevel
from protocol.reconnect import Told

DECISIONS: Final = "loaxa.edge"
VALUE_CHARACTERS_MAX: Final = 300
"""No value of a message from outside makes a line unreadable."""
_LEVELS: Final = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}
_PLAIN: Final = re.compile(r"^[^\s\"=]+\Z")


class LoggedDecisions:
    """The log behind the port `DecisionLog`; that the broker is still away, it says only now and then."""

    def __init__(self) -> None:
        self._log = logging.getLogger(DECISIONS)
        self._told = Told()

    def write(self, decision: LogDecision) -> None:
        """See `DecisionLog.write`."""
        level = _LEVELS[decision.level]
        if not self._log.isEnabledFor(level):
            return
        line = one_line(decision)
        if decision.decision == "connected":
            self._told.forget()
        if decision.decision == "disconnected" and not self._told.is_due(line, now_s=time.monotonic()):
            return
        self._log.log(level, "%s", line)


class _NodeFormatter(logging.Formatter):
    def __init__(self, *, node: str, has_time: bool) -> None:
        super().__init__()
        self._node = node
        self._has_time = has_time

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback follows on its own lines."""
        stamp = f"{datetime.fromtimestamp(record.created, UTC).astimezone():%Y-%m-%dT%H:%M:%S.%f}"[:-3]
        start = f"{stamp} " if self._has_time else ""
        name = "" if record.name == DECISIONS else f"{record.name}: "
        line = f"{start}{record.levelname:<7} {self._node} {name}{record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up_logging(*, node: str, level: str, stream: TextIO | None = None) -> None:
    """Send all log lines to standard error (or `stream`), each with the node's id."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_NodeFormatter(node=node, has_time="JOURNAL_STREAM" not in os.environ))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def one_line(decision: LogDecision) -> str:
    """A decision as `what key=value ...`."""
    return " ".join([decision.decision, *(f"{key}={_value(value)}" for key, value in decision.fields)])


def _value(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str):
        return str(value)
    text = value[:VALUE_CHARACTERS_MAX]
    if _PLAIN.match(text) and text.isprintable():
        return text
    quoted = "".join(character if character.isprintable() else "?" for character in text)
    return '"' + quoted.replace("\\", "\\\\").replace('"', '\\"') + '"'
