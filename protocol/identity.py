"""Names of things: nodes, areas, streams, media, keys.

Every name is opaque and bounded. The patterns stand here once; schemas, topics and configuration use them.
A node's name is also its MQTT client id and its certificate's common name, hence 1 to 23 letters and digits
(MQTT 5, 3.1.3.1: the characters that every server must accept).
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

NODE_PATTERN: Final = r"^[0-9A-Za-z]{1,23}\Z"
AREA_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,39}\Z"
STREAM_PATTERN: Final = r"^[0-9a-f]{16}\Z"
SHA256_PATTERN: Final = r"^[0-9a-f]{64}\Z"
DOCUMENT_PATTERN: Final = r"^[0-9A-Za-z_.:-]{1,64}\Z"

NodeId = Annotated[str, Meta(pattern=NODE_PATTERN, description="a node: its certificate's common name")]
AreaId = Annotated[str, Meta(pattern=AREA_PATTERN, description="an area in the tree of places")]
StreamId = Annotated[str, Meta(pattern=STREAM_PATTERN, description="a live stream: 8 bytes in hexadecimal")]
MediaHash = Annotated[str, Meta(pattern=SHA256_PATTERN, description="SHA-256 of a media file, in hexadecimal")]
DocumentId = Annotated[str, Meta(pattern=DOCUMENT_PATTERN, description="a document, unique for its issuer")]
KeyId = Annotated[str, Meta(pattern=DOCUMENT_PATTERN, description="a signing key, as the keyset names it")]
PublicKey = Annotated[bytes, Meta(min_length=32, max_length=32, description="an Ed25519 public key")]

EVERYONE: Final = "everyone"


def area_audience(area: str) -> str:
    """The audience of everything below an area."""
    return f"area:{area}"


def node_audience(node: str) -> str:
    """The audience of one node."""
    return f"node:{node}"
