"""`docs/protocol.md` says what the code does: its tables are read and compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest

from protocol.adapters.mqtt_settings import IN_FLIGHT_MAX, MqttSettings, Will
from protocol.clock_sync import TimeReply, TimeRequest
from protocol.errors import RefusalReason
from protocol.keyring import CLOCK_TOLERANCE_MS
from protocol.messages import DOCUMENT_BYTES_MAX, AnyDocument, ControllerState, Document, NodeState, Report
from protocol.reconnect import BASE_S, CEILING_S
from protocol.stream import _HEADER, FRAME_BYTES_MAX, FRAMES_MAX
from protocol.topics import TOPICS

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "protocol.md").read_text()
WORDS = " ".join(TEXT.split())


def table(heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, without its head; fails if there is none."""
    below = TEXT.split(f"\n## {heading}\n", 1)[1]
    rows = re.search(r"^\|.*?(?=\n\n)", below, re.MULTILINE | re.DOTALL)
    assert rows, f"no table below {heading}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows[0].splitlines()[2:]]


def ticked(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def differences(documented: Mapping[str, object], real: Mapping[str, object]) -> list[str]:
    return [
        f"{key}: documented {documented.get(key)}, real {real.get(key)}"
        for key in sorted({*documented, *real})
        if documented.get(key) != real.get(key)
    ]


def test_the_topics_are_those_of_the_table() -> None:
    documented = {ticked(row[0])[0]: row[1:] for row in table("Topics")}
    real = {
        row.path: [
            row.writer.value,
            str(row.qos),
            "yes" if row.retain else "no",
            "-" if row.expiry_s is None else f"{row.expiry_s} s",
            row.carries,
        ]
        for row in TOPICS.values()
    }
    assert not differences(documented, real)


def test_the_documents_have_the_fields_that_are_told() -> None:
    header = set(Document.__struct_fields__)
    documented = {ticked(row[0])[0]: ticked(row[3]) for row in table("Messages") if ticked(row[0])}
    real = {
        str(kind.__struct_config__.tag): [name for name in kind.__struct_fields__ if name not in header]
        for kind in (*get_args(AnyDocument), Report, TimeReply)
    }
    assert not differences(documented, real)


def test_the_status_messages_have_the_fields_that_are_told() -> None:
    documented = {row[0]: ticked(row[3]) for row in table("Messages")}
    assert documented["node state"] == list(NodeState.__struct_fields__)
    assert documented["controller state"] == list(ControllerState.__struct_fields__)
    assert documented["time request"] == list(TimeRequest.__struct_fields__)


def test_every_message_travels_on_a_topic_of_the_table() -> None:
    paths = {row.path for row in TOPICS.values()}
    carried = {ticked(row[2])[0] for row in table("Messages")}
    assert carried | {"stream/{stream}/opus"} == paths


def test_the_header_is_told_whole() -> None:
    told = re.search(r"The header of every document: (.*?)\.", WORDS)
    assert told
    assert ticked(told[1]) == list(Document.__struct_fields__)


def test_every_reason_of_refusal_is_told() -> None:
    told = re.search(r"counted under its reason and changes nothing: (.*?)\.", WORDS)
    assert told
    assert ticked(told[1]) == [reason.value for reason in RefusalReason]


def test_the_packet_layout_is_that_of_the_code() -> None:
    rows = table("Audio packets")
    offset = 0
    for row in rows[:8]:
        assert int(row[0]) == offset, row
        offset += int(row[1])
    assert offset == _HEADER.size
    assert [row[0] for row in rows[8:]] == ["36", "36 + 2 n", "end - 64"]


@pytest.mark.parametrize(
    "claim",
    [
        f"No message is larger than {DOCUMENT_BYTES_MAX} bytes",
        f"{CLOCK_TOLERANCE_MS // 1000} s of tolerance",
        f"at most {IN_FLIGHT_MAX} messages are in flight",
        f"expiry {MqttSettings.__dataclass_fields__['session_expiry_s'].default} s",
        f"Keep-alive is {MqttSettings.__dataclass_fields__['keep_alive_s'].default} s",
        f"the will is delayed by {Will.__dataclass_fields__['delay_s'].default} s",
        f"U(0, min({CEILING_S:.0f}, {BASE_S:.0f} · 2ⁿ))",
        f"n, the number of frames, 1 to {FRAMES_MAX}",
        f"length of each frame, 1 to {FRAME_BYTES_MAX}",
    ],
)
def test_every_figure_is_that_of_the_code(claim: str) -> None:
    assert claim in WORDS


def test_each_sequence_is_drawn() -> None:
    for name in ("Plan", "Emergency", "Relay", "Proof"):
        assert f"### {name}\n\n```mermaid\nsequenceDiagram\n" in TEXT


def test_a_difference_would_be_seen() -> None:
    assert differences({"a": 1}, {"a": 2})
    assert differences({"a": 1}, {})
    assert differences({}, {"a": 1})
