"""The order to be silent, and its release.

A silence has no end of its own: no time, no expiry, no power cut lifts it, only a release of the same order does, by a
key that reaches at least as high as the one that ordered it (`Keyring.reaches`). It holds for everything below its
area, emergencies and all; `spares_emergencies` and `spared_box` narrow it for a node of which two are alive. How a
node obeys is `edge.silence.silences`' affair.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

from msgspec import Meta

from protocol.document import Document, Reality, Reason
from protocol.identity import AreaId, DocumentId, NodeId, area_audience, node_audience

BoxDigest = Annotated[
    str, Meta(pattern=r"^([0-9a-f]{16})?\Z", description="first 8 bytes of SHA-256 of a box's serial number; or empty")
]


def box_digest(hardware: str) -> str:
    """A box's serial number as the wire has it: enough to tell two boxes apart; empty where there is none."""
    return hashlib.sha256(hardware.encode()).hexdigest()[:16] if hardware else ""


class _ToBeSilent(Document, frozen=True, kw_only=True):
    """`order` names the silence and stays when it is signed again; it is for one area or for one node."""

    order: DocumentId
    area: AreaId | None = None
    node: NodeId | None = None
    reason: Reason

    def __post_init__(self) -> None:
        """Refuse one that is for no place or for two, and one that does not mean it."""
        if (self.area is None) == (self.node is None):
            raise ValueError(f"the {self.document_type} {self.order} must name either an area or a node")
        if self.reality is not Reality.REAL:
            raise ValueError(f"the {self.document_type} {self.order} is a drill; silence is always real")

    @property
    def place(self) -> str:
        """The audience that it is for."""
        return area_audience(self.area) if self.area is not None else node_audience(self.node or "")


class Silence(_ToBeSilent, frozen=True, kw_only=True, tag="silence"):
    """Be silent at once, and stay so until the release; `ordered_by` says whose order it is.

    `spared_box` goes on as it is, being the box that the node was enrolled from.
    """

    ordered_by: Annotated[str, Meta(max_length=64)]
    spares_emergencies: bool = False
    spared_box: BoxDigest = ""


class SilenceRelease(_ToBeSilent, frozen=True, kw_only=True, tag="silence-release"):
    """The silence `order` is over."""
