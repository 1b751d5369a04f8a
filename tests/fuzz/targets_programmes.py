"""Targets of the programmes' desk: bodies of the API, files written by hand, texts that are to be read aloud."""

from __future__ import annotations

import msgspec

from controller.errors import ExchangeError
from controller.programmes.bulletin import Bulletin
from controller.programmes.programme import Item, Override, Programme, weekly
from controller.programmes.speech_text import spoken
from controller.programmes.written import bulletin_in, item_of, programme_in, written_out
from tests.fuzz.target import Target

MORNING = Programme(
    id="sang",
    title="Buổi sáng",
    area="xa",
    items=(Item(text="Kính chào\nbà con", language="vi", chime=True), Item(feed="vov1", duration_s=900)),
    recurrence=weekly("05:30", ("mon", "sat")),
    overrides=(Override(of="2026-12-01T05:30", items=()),),
    valid_until="2027-01-01",
)
WATER = Bulletin(
    id="nuoc", title="Cắt nước", area="xa", text="Từ 8h đến 11h30 ngày 22/11/2026.", valid_until="2027-01-01"
)
TEXTS = ("UBND xã thông báo: 17h30 ngày 22/11/2026, 1.234.567đ, TP.HCM, gọi 0912.345.678", "[[x]] 10h-11h30, quý IV")


def _body(data: bytes) -> object:
    """What was taken is written out and taken again, the same."""
    for kind in (Programme, Bulletin):
        try:
            taken = msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        assert msgspec.json.decode(msgspec.json.encode(taken), type=kind) == taken
        return taken
    raise ExchangeError("neither")


def _file(data: bytes) -> object:
    text = data.decode("utf-8", "replace")
    try:
        return programme_in(text, name="p.yaml")
    except ExchangeError:
        return bulletin_in(text, name="b.yaml")


def _item(data: bytes) -> object:
    return item_of(data.decode("utf-8", "replace"), chime=True, recording=lambda _: "ab" * 32)


def _speech(data: bytes) -> object:
    return spoken(data.decode("utf-8", "replace"), language="vi", words={"XBM": "xã Bình Minh"})


PROGRAMMES: tuple[Target, ...] = (
    Target(
        name="programme-body",
        decode=_body,
        declared=(ExchangeError, RecursionError),
        seeds=lambda: [msgspec.json.encode(each) for each in (MORNING, WATER)],
    ),
    Target(
        name="programme-file",
        decode=_file,
        declared=(ExchangeError,),
        seeds=lambda: [written_out(msgspec.to_builtins(each)).encode() for each in (MORNING, WATER)],
    ),
    Target(
        name="programme-item",
        decode=_item,
        declared=(ExchangeError,),
        seeds=lambda: [b"text:Xin chao", b"feed:vov1:900", b"media:3f2a", b"bulletin:nuoc"],
    ),
    Target(name="speech-text", decode=_speech, declared=(), seeds=lambda: [text.encode() for text in TEXTS]),
)
