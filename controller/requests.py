"""What a person or a program may ask of the running controller; the bodies of the API.

Who may ask is settled before: the API's token today. Whether it can be done is the desk's decision.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from protocol.messages import BroadcastClass, Over, Reality


class RaiseEmergency(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Play a prepared clip in an area at once, again and again; everywhere together, or zone after zone in turns."""

    area: Annotated[str, Meta(max_length=40)]
    clip: Annotated[str, Meta(max_length=40)]
    reality: Reality = Reality.REAL
    minutes: Annotated[int, Meta(ge=1, le=1440)] = 30
    in_turns: bool = False
    chime: bool = True


class EndEmergency(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give the all-clear, or correct an emergency that should never have been; "" is the only one that stands."""

    emergency: Annotated[str, Meta(max_length=64)]
    reason: Annotated[str, Meta(max_length=200)] = ""
    correction: bool = False


class StartRelay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Relay a feed to an area now; as routine or priority, for an emergency is raised, not relayed."""

    area: Annotated[str, Meta(max_length=40)]
    feed: Annotated[str, Meta(max_length=40)]
    minutes: Annotated[int, Meta(ge=1, le=1440)] = 15
    broadcast_class: BroadcastClass = BroadcastClass.ROUTINE
    chime: bool = False
    over: Over = Over.REPLACE


class StartVoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Speak to an area now; with a chime the loudspeakers call attention as soon as the microphone is open."""

    area: Annotated[str, Meta(max_length=40)]
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    minutes: Annotated[int, Meta(ge=1, le=240)] = 15
    broadcast_class: BroadcastClass = BroadcastClass.ROUTINE
    reality: Reality = Reality.REAL
    chime: bool = False
    over: Over = Over.REPLACE


class StopRelay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a relay before its time."""

    stream: Annotated[str, Meta(max_length=16)]


class StartSilence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keep everything below an area, or one node, silent until the release; real emergencies too."""

    area: Annotated[str, Meta(max_length=40)] = ""
    node: Annotated[str, Meta(max_length=23)] = ""
    reason: Annotated[str, Meta(max_length=200)] = ""


class EndSilence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Release the silence of an area or of a node."""

    area: Annotated[str, Meta(max_length=40)] = ""
    node: Annotated[str, Meta(max_length=23)] = ""
    reason: Annotated[str, Meta(max_length=200)] = ""


Request = RaiseEmergency | EndEmergency | StartRelay | StartVoice | StopRelay | StartSilence | EndSilence
