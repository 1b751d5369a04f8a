"""`loaxa-edge enrol`, and what `show` says of a unit's enrolment, in words for whoever stands before the box."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edge.adapters.config_file import read_config
from edge.adapters.enrolment_run import NodeEnrolment
from edge.adapters.enrolment_watch import enrol_first
from edge.adapters.logging import set_up_logging
from edge.adapters.notify import SystemdNotifier
from edge.config import EdgeConfig
from edge.enrolment.lifecycle import UnitState
from edge.errors import EdgeError

STATE_WORDS: Final = {
    UnitState.NO_KEYS: "hộp mới, chưa có khoá · a new unit, without keys",
    UnitState.APPLYING: "chưa đăng ký · not enrolled",
    UnitState.PENDING: "chờ duyệt · waiting for approval",
    UnitState.DENIED: "bị từ chối · denied",
    UnitState.ENROLLED: "đã đăng ký · enrolled",
    UnitState.RENEWING: "cần gia hạn chứng chỉ · the certificate is due for renewal",
    UnitState.EXPIRED: "chứng chỉ đã hết hạn, sẽ xin lại · the certificate has expired; it asks for a new one",
}


def enrol(path: Path) -> tuple[bool, list[str]]:
    """Ask until there is an answer that lasts; whether the unit is enrolled, and the last words. Raises EdgeError."""
    config = read_config(path)
    set_up_logging(node=config.node or "new", level=config.log.level)
    asyncio.run(_enrol(NodeEnrolment(config)))
    return is_enrolled(config), enrolment_lines(config)


def is_enrolled(config: EdgeConfig) -> bool:
    """Whether this card has an identity in this box."""
    return NodeEnrolment(config).is_enrolled


def enrolment_lines(config: EdgeConfig) -> list[str]:
    """How the unit's enrolment stands; empty for a node that does not enrol."""
    if config.enrolment.file is None:
        return []
    try:
        enrolment = NodeEnrolment(config)
        enrolment.next_step()
        label = enrolment.label
    except EdgeError as error:
        return [f"enrolment: {error}"]
    lines = [f"enrolment: {STATE_WORDS[enrolment.state]}"]
    lines.append(f"nhãn hộp · label: {label or 'chưa có · not made yet'}")
    lines.append(f"số máy · box: {enrolment.hardware or 'không rõ · unknown'}")
    if enrolment.is_foreign:
        lines.append("thẻ nhớ này đến từ hộp khác · this card comes from another box")
    identity = enrolment.identity
    if identity is not None:
        until = datetime.fromtimestamp(identity.not_after_ms / 1000, UTC)
        lines.append(f"chứng chỉ · certificate: {identity.node}, đến · until {until:%Y-%m-%d}")
    return lines


async def _enrol(enrolment: NodeEnrolment) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with contextlib.suppress(asyncio.CancelledError):
        await enrol_first(enrolment, supervisor=SystemdNotifier(""), stop=stop)
