"""What every signed document has in common: its header, and the plain types that its fields are made of.

The documents themselves stand in `messages` and `silence`; everybody takes these names from `messages`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from protocol.identity import DocumentId

Counter = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Milliseconds = Annotated[int, Meta(ge=0, lt=253_402_214_400_000, description="Unix milliseconds, up to the year 9999")]
Reason = Annotated[str, Meta(max_length=200)]
Audience = Annotated[str, Meta(pattern=r"^(everyone|area:[a-z0-9][a-z0-9-]{0,39}|node:[0-9A-Za-z]{1,23})\Z")]


class BroadcastClass(StrEnum):
    """The three legal message classes (Circular 39/2020/TT-BTTTT)."""

    ROUTINE = "routine"
    PRIORITY = "priority"
    EMERGENCY = "emergency"


class Reality(StrEnum):
    """Whether a document means it. A drill is signed by other keys and announced as one."""

    REAL = "real"
    DRILL = "drill"


class Document(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What every signed document says of itself; the signing key's id stands in its envelope.

    `counter` only rises for one key on one topic. `not_before_ms` and `expires_at_ms` bound when it may
    begin to act; expiry is repeated here because the broker's own is only a courtesy.
    """

    id: DocumentId
    issuer: Annotated[str, Meta(max_length=64)]
    audience: Audience
    counter: Counter
    not_before_ms: Milliseconds
    expires_at_ms: Milliseconds
    broadcast_class: BroadcastClass = BroadcastClass.ROUTINE
    reality: Reality = Reality.REAL

    @property
    def document_type(self) -> str:
        """The name of the schema, as it stands in the bytes and in a key's scope."""
        return str(self.__struct_config__.tag)
