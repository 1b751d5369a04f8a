"""Packets: contiguous frames of one epoch, in their order, none lost and none twice."""

from __future__ import annotations

from controller.streams.packing import Packing, Slot
from protocol.units import FRAME_SAMPLES, SharedNs

FRAME_NS = 20_000_000


def slot(index: int) -> Slot:
    return Slot(first_sample=index * FRAME_SAMPLES, play_at_ns=SharedNs(index * FRAME_NS))


def packed(packing: Packing, *indices: int) -> list[tuple[int, int, int, tuple[bytes, ...]]]:
    """Epoch, sequence, index of the first frame, and the frames."""
    packets = [packet for index in indices for packet in packing.place(slot(index), bytes([index]))]
    return [(each.epoch, each.sequence, each.first_sample // FRAME_SAMPLES, each.frames) for each in packets]


def test_a_gap_closes_the_packet_before_it_and_nothing_is_lost() -> None:
    packing = Packing(stream="0" * 16, epoch=3, frames_per_packet=3)
    assert packed(packing, 0, 1, 2, 3, 4, 7, 8, 9) == [
        (3, 0, 0, (b"\x00", b"\x01", b"\x02")),
        (3, 1, 3, (b"\x03", b"\x04")),
        (3, 2, 7, (b"\x07", b"\x08", b"\x09")),
    ]
    assert len(packing) == 0
    assert packing.flush() == []


def test_a_new_epoch_takes_nothing_over_and_counts_anew() -> None:
    packing = Packing(stream="0" * 16, epoch=3, frames_per_packet=2)
    assert packed(packing, 0, 1, 2) == [(3, 0, 0, (b"\x00", b"\x01"))]
    packing.begin_anew()
    assert packed(packing, 9, 10) == [(4, 0, 9, (b"\x09", b"\x0a"))]
