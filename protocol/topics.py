"""The one table of MQTT topics: who writes them, how, and what they carry.

Everything that must agree on a topic is made from this table: the builders and the parser below, the
broker's access rules (`node_rules` and those after it), the documents. At most six levels, version in the topic.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from protocol.errors import LocalProtocolError, Refusal, RefusalReason
from protocol.identity import AREA_PATTERN, NODE_PATTERN, STREAM_PATTERN

ROOT: Final = "loaxa/1"
SHARDS: Final = 16
"""What many nodes send is split over sixteen hashed shards, so that replicas share it without `$share`."""

SUBJECT: Final = "CN="
"""Before a node's name in the topics of its second connection, where it is known by its certificate's whole subject:
the broker makes a client id of what it knows a client by, and two connections with one id push each other out."""

_MADE_BY: Final = "# Made from the topic table; do not edit."
_FIELD_PATTERNS: Final = {
    "area": AREA_PATTERN,
    "node": NODE_PATTERN,
    "stream": STREAM_PATTERN,
    "shard": r"^[0-9]{2}\Z",
    "controller": NODE_PATTERN,
}


class Role(StrEnum):
    """The kinds of identity that connect to the broker."""

    NODE = "node"
    CONTROLLER = "controller"


class TopicName(StrEnum):
    """The rows of the table."""

    ROOT = "root"
    KEYSET = "keyset"
    PLAN = "plan"
    EMERGENCY = "emergency"
    AREA_SILENCE = "area_silence"
    NODE_SILENCE = "node_silence"
    ASSIGNMENT = "assignment"
    STREAM = "stream"
    AUDIO = "audio"
    NODE_STATE = "node_state"
    TELEMETRY = "telemetry"
    REPORT = "report"
    ACKNOWLEDGEMENT = "acknowledgement"
    CONTROLLER_STATE = "controller_state"
    TIME_REQUEST = "time_request"
    TIME_REPLY = "time_reply"


@cache
def _fields_of(path: str) -> tuple[str, ...]:
    """Read once for each row: topics are made on every turn of a node."""
    return tuple(re.findall(r"{(\w+)}", path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One row: the path below the root, its writer and reader, and how it travels.

    `expiry_s` is the broker's message expiry, a courtesy; None keeps the message until it is replaced.
    """

    path: str
    writer: Role
    qos: int
    retain: bool
    carries: str
    expiry_s: int | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The variable levels, in order."""
        return _fields_of(self.path)

    @property
    def is_of_time(self) -> bool:
        """Whether it belongs to the nodes' second connection, which is for the time alone."""
        return f"{SUBJECT}{{node}}" in self.path


TOPICS: Final[dict[TopicName, Topic]] = {
    TopicName.ROOT: Topic(
        path="root", writer=Role.CONTROLLER, qos=1, retain=True, carries="the chain of changes of the root's own keys"
    ),
    TopicName.KEYSET: Topic(
        path="keyset", writer=Role.CONTROLLER, qos=1, retain=True, carries="root-signed operational keys"
    ),
    TopicName.PLAN: Topic(
        path="area/{area}/plan",
        writer=Role.CONTROLLER,
        qos=1,
        retain=True,
        carries="signed plan of at least 7 days; a node merges its area's with every ancestor's",
    ),
    TopicName.EMERGENCY: Topic(
        path="area/{area}/emergency",
        writer=Role.CONTROLLER,
        qos=1,
        retain=True,
        carries="the standing emergency, its all-clear or correction; repeated until nodes have answered",
    ),
    TopicName.AREA_SILENCE: Topic(
        path="area/{area}/silence",
        writer=Role.CONTROLLER,
        qos=1,
        retain=True,
        carries="signed: everything below the area is silent, or no longer",
    ),
    TopicName.NODE_SILENCE: Topic(
        path="node/{node}/silence",
        writer=Role.CONTROLLER,
        qos=1,
        retain=True,
        carries="signed: one node is silent, or no longer",
    ),
    TopicName.ASSIGNMENT: Topic(
        path="node/{node}/assignment",
        writer=Role.CONTROLLER,
        qos=1,
        retain=True,
        carries="signed: areas, gains, quiet hours, prepared clips of one node",
    ),
    TopicName.STREAM: Topic(
        path="area/{area}/stream/{stream}",
        writer=Role.CONTROLLER,
        qos=1,
        retain=True,
        carries="signed start or end of a live stream for an area",
    ),
    TopicName.AUDIO: Topic(
        path="stream/{stream}/opus",
        writer=Role.CONTROLLER,
        qos=0,
        retain=False,
        expiry_s=2,
        carries="signed audio packets",
    ),
    TopicName.NODE_STATE: Topic(
        path="node/{node}/state", writer=Role.NODE, qos=1, retain=True, carries="birth and will (JSON)"
    ),
    TopicName.TELEMETRY: Topic(
        path="telemetry/{shard}/{node}", writer=Role.NODE, qos=0, retain=False, carries="health and levels (JSON)"
    ),
    TopicName.REPORT: Topic(
        path="report/{shard}/{node}",
        writer=Role.NODE,
        qos=1,
        retain=False,
        carries="numbered airing and fault records, signed by the node",
    ),
    TopicName.ACKNOWLEDGEMENT: Topic(
        path="node/{node}/ack",
        writer=Role.CONTROLLER,
        qos=1,
        retain=False,
        expiry_s=300,
        carries="signed: highest report number stored",
    ),
    TopicName.CONTROLLER_STATE: Topic(
        path="controller/{controller}/state",
        writer=Role.CONTROLLER,
        qos=1,
        retain=True,
        carries="birth and will of a controller process (JSON)",
    ),
    TopicName.TIME_REQUEST: Topic(
        path="time/{shard}/CN={node}",
        writer=Role.NODE,
        qos=0,
        retain=False,
        carries="a node asks the time service what time it is (JSON)",
    ),
    TopicName.TIME_REPLY: Topic(
        path="node/CN={node}/time",
        writer=Role.CONTROLLER,
        qos=0,
        retain=False,
        carries="signed answer to this request and no other",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedTopic:
    """A received topic: its row and the values of its variable levels."""

    name: TopicName
    fields: dict[str, str]


def shard_of(node: str) -> str:
    """The shard of what a node sends: CRC-32 of its name modulo 16, two digits."""
    return f"{zlib.crc32(node.encode()) % SHARDS:02d}"


def topic(name: TopicName, **fields: str) -> str:
    """The full topic of a row; a node's shard is filled in; "+" stands for any value.

    Raises LocalProtocolError for a missing value, or one that is no name.
    """
    row = TOPICS[name]
    if "shard" in row.fields and "shard" not in fields:
        node = fields.get("node", "")
        fields["shard"] = "+" if node == "+" else shard_of(node)
    if set(fields) != set(row.fields):
        raise LocalProtocolError(f"the topic {row.path} has the fields {row.fields}, not {tuple(fields)}")
    for field in row.fields:
        if fields[field] != "+" and not re.match(_FIELD_PATTERNS[field], fields[field]):
            raise LocalProtocolError(f"{fields[field]!r} cannot stand for {field} in the topic {row.path}")
    path = row.path
    for field in [field for field in row.fields if fields[field] == "+"]:
        path = re.sub(rf"[^/]*{{{field}}}", "+", path)
    return f"{ROOT}/{path.format(**fields)}"


def parse_topic(received: str) -> ParsedTopic:
    """Which row a received topic belongs to; raises Refusal(UNKNOWN_TOPIC)."""
    for name, pattern in _PATTERNS_BY_WORD.get(_word_of(received), ()):
        match = pattern.match(received)
        if match:
            fields = match.groupdict()
            if "shard" in fields and fields["shard"] != shard_of(fields["node"]):
                break
            return ParsedTopic(name=name, fields=fields)
    raise Refusal(RefusalReason.UNKNOWN_TOPIC, received[:120])


def access_rules(*, controllers: tuple[str, ...]) -> str:
    """Every rule in one text, for a broker that has one list for all its doors: names tell who is meant."""
    return node_rules() + time_rules() + service_rules(controllers=controllers)


def node_rules() -> str:
    """Mosquitto's access file for the nodes' door: by pattern on the name in their certificates.

    Every node may read what the controller writes about places and itself; it writes only under its own name.
    """
    return _patterns(
        [row for row in TOPICS.values() if not row.is_of_time], "%u is the name in the client's certificate."
    )


def time_rules() -> str:
    """The same for the door of the time: a node asks under its own name and reads its own answers, nothing else."""
    about = f"%u is the subject of the client's certificate: {SUBJECT} and its name."
    return _patterns([row for row in TOPICS.values() if row.is_of_time], about)


def service_rules(*, controllers: tuple[str, ...]) -> str:
    """The same for the door of controllers, by name; raises LocalProtocolError for one that could add a line to it."""
    lines = [_MADE_BY]
    for controller in controllers:
        if not re.match(_FIELD_PATTERNS["controller"], controller):
            raise LocalProtocolError(f"{controller!r} cannot be the name of a controller")
        lines.append(f"\nuser {controller}")
        for row in TOPICS.values():
            mine = re.sub(r"{controller}", controller, row.path)
            access = "readwrite" if row.writer is Role.CONTROLLER else "read"
            lines.append(f"topic {access} {ROOT}/{_any_level(mine)}")
    return "\n".join(lines) + "\n"


def _patterns(rows: Sequence[Topic], about: str) -> str:
    lines = [f"{_MADE_BY} {about}"]
    for row in rows:
        wild = re.sub(r"{(?!node)\w+}", "+", row.path)
        own = f"{ROOT}/{wild.replace(f'{SUBJECT}{{node}}', '%u').replace('{node}', '%u')}"
        if row.writer is Role.NODE:
            lines.append(f"pattern write {own}")
        elif "controller" not in row.fields:
            lines.append(f"pattern read {own}")
    return "\n".join(lines) + "\n"


def _any_level(path: str) -> str:
    return re.sub(r"[^/]*{\w+}", "+", path)


def _pattern_of(row: Topic) -> re.Pattern[str]:
    expression = re.sub(r"{(\w+)}", lambda found: f"(?P<{found[1]}>{_FIELD_PATTERNS[found[1]][1:-2]})", row.path)
    return re.compile(rf"^{ROOT}/{expression}\Z")


def _word_of(path: str) -> str:
    """The first level below the root, which is a word in every row."""
    return path[len(ROOT) + 1 :].partition("/")[0]


def _patterns_by_word() -> dict[str, list[tuple[TopicName, re.Pattern[str]]]]:
    found: dict[str, list[tuple[TopicName, re.Pattern[str]]]] = {}
    for name, row in TOPICS.items():
        found.setdefault(_word_of(f"{ROOT}/{row.path}"), []).append((name, _pattern_of(row)))
    return found


_PATTERNS_BY_WORD: Final = _patterns_by_word()
"""Topics are read for each message: only the rows of its first word are tried."""
