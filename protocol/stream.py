"""Audio packets: several Opus frames, the instant at which they sound, a signature.

Layout, network byte order (103 bytes at least, the signature included):

    offset  size  field
    0       2     magic "LX"
    2       1     version (1)
    3       1     frame count n (1 to 10)
    4       8     stream
    12      4     epoch: rises when the sender starts anew
    16      4     sequence: rises by one for each packet of an epoch
    20      8     first sample: index in the epoch of the first frame's first sample
    28      8     play at: shared nanoseconds at which that sample sounds
    36      2 n   length of each frame in bytes
    36+2n   ...   the frames
    end-64  64    Ed25519 signature over the topic and everything before it

Time comes from the sample index; `play_at` says it once more so that a late joiner needs no other packet.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from protocol.envelope import SIGNATURE_BYTES, Sign, Verify, verify_signature
from protocol.errors import LocalProtocolError, Refusal, RefusalReason
from protocol.identity import STREAM_PATTERN
from protocol.units import SharedNs

FRAMES_MAX: Final = 10
FRAME_BYTES_MAX: Final = 1275
"""Largest Opus frame (RFC 6716, 3.4)."""
PACKET_BYTES_MAX: Final = 16 * 1024
FIRST_SAMPLE_MAX: Final = 48_000 * 3600 * 24 * 7
"""A week of samples: an epoch that claims more is not ours."""
PLAY_AT_NS_MAX: Final = 2**62
NUMBER_MAX: Final = 2**32 - 1
"""Bound of epoch and sequence: 20 ms packets reach it after 2.7 years."""

_HEADER: Final = struct.Struct("!2sBB8sIIQQ")
_LENGTH: Final = struct.Struct("!H")
_MAGIC: Final = b"LX"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioPacket:
    """One verified packet; `frames` are Opus frames of 20 ms each, mono at 48 kHz."""

    stream: str
    epoch: int
    sequence: int
    first_sample: int
    play_at_ns: SharedNs
    frames: tuple[bytes, ...]


def pack_audio(packet: AudioPacket, *, sign: Sign, topic: str) -> bytes:
    """Bytes of a packet, signed for `topic`; raises LocalProtocolError for one that no node would take."""
    _require_packable(packet)
    header = _HEADER.pack(
        _MAGIC,
        _VERSION,
        len(packet.frames),
        bytes.fromhex(packet.stream),
        packet.epoch,
        packet.sequence,
        packet.first_sample,
        packet.play_at_ns,
    )
    lengths = b"".join(_LENGTH.pack(len(frame)) for frame in packet.frames)
    body = b"".join((header, lengths, *packet.frames))
    return body + sign(_to_be_signed(topic, body))


def unpack_audio(
    data: bytes, *, public_key: bytes, topic: str, stream: str, verify: Verify = verify_signature
) -> AudioPacket:
    """Verify and parse a packet received on `topic` for `stream`.

    The signature is checked before any field is believed. Raises Refusal: TOO_LARGE, MALFORMED,
    BAD_SIGNATURE, or UNKNOWN_STREAM when the packet names another stream.
    """
    if len(data) > PACKET_BYTES_MAX:
        raise Refusal(RefusalReason.TOO_LARGE, f"{len(data)} bytes; at most {PACKET_BYTES_MAX}")
    if len(data) < _HEADER.size + _LENGTH.size + SIGNATURE_BYTES:
        raise Refusal(RefusalReason.MALFORMED, f"{len(data)} bytes are no audio packet")
    body, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    verify(public_key, signature, _to_be_signed(topic, body))
    magic, version, count, stream_bytes, epoch, sequence, first_sample, play_at_ns = _HEADER.unpack_from(body)
    if magic != _MAGIC or version != _VERSION or not 1 <= count <= FRAMES_MAX:
        raise Refusal(RefusalReason.MALFORMED, "not an audio packet of this version")
    if first_sample > FIRST_SAMPLE_MAX or play_at_ns > PLAY_AT_NS_MAX:
        raise Refusal(RefusalReason.MALFORMED, "sample index or play time out of bounds")
    if stream_bytes.hex() != stream:
        raise Refusal(RefusalReason.UNKNOWN_STREAM, f"a packet of {stream_bytes.hex()} on the topic of {stream}")
    return AudioPacket(
        stream=stream,
        epoch=epoch,
        sequence=sequence,
        first_sample=first_sample,
        play_at_ns=SharedNs(play_at_ns),
        frames=_split_frames(body, count),
    )


def _require_packable(packet: AudioPacket) -> None:
    if not 1 <= len(packet.frames) <= FRAMES_MAX or not all(0 < len(f) <= FRAME_BYTES_MAX for f in packet.frames):
        raise LocalProtocolError(
            f"{len(packet.frames)} frames; 1 to {FRAMES_MAX} of 1 to {FRAME_BYTES_MAX} bytes are allowed"
        )
    numbers_max = (
        (packet.epoch, NUMBER_MAX),
        (packet.sequence, NUMBER_MAX),
        (packet.first_sample, FIRST_SAMPLE_MAX),
        (packet.play_at_ns, PLAY_AT_NS_MAX),
    )
    if not re.match(STREAM_PATTERN, packet.stream) or not all(0 <= number <= bound for number, bound in numbers_max):
        raise LocalProtocolError(f"a number of this packet of stream {packet.stream!r} is out of bounds")


def _split_frames(body: bytes, count: int) -> tuple[bytes, ...]:
    position = _HEADER.size + count * _LENGTH.size
    if len(body) < position:
        raise Refusal(RefusalReason.MALFORMED, "shorter than its frame lengths")
    lengths = [_LENGTH.unpack_from(body, _HEADER.size + index * _LENGTH.size)[0] for index in range(count)]
    if position + sum(lengths) != len(body) or not all(0 < length <= FRAME_BYTES_MAX for length in lengths):
        raise Refusal(RefusalReason.MALFORMED, "frame lengths do not add up to the packet")
    frames = []
    for length in lengths:
        frames.append(body[position : position + length])
        position += length
    return tuple(frames)


def _to_be_signed(topic: str, body: bytes) -> bytes:
    return topic.encode() + b"\0" + body
