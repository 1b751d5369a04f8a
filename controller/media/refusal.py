"""Why a recording is not taken: a stable code for programs, and a sentence in Vietnamese and English for people.

Each sentence says what was found and what to do. Which recording it is, whoever refuses says before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec


class RefusalCode(StrEnum):
    """Reasons; names that a program may rely on."""

    EMPTY = "empty"
    NOT_AUDIO = "not_audio"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    SILENT = "silent"
    MOSTLY_SILENT = "mostly_silent"
    CLIPPED = "clipped"
    OUT_OF_PHASE = "out_of_phase"
    CANNOT_LEVEL = "cannot_level"
    TOO_HARD = "too_hard"
    WRONG_CONTENT = "wrong_content"
    DISK_FULL = "disk_full"
    ADDRESS_FORBIDDEN = "address_forbidden"
    UNREACHABLE = "unreachable"
    STORE_FAILED = "store_failed"


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """One refusal, ready to be shown."""

    code: RefusalCode
    vi: str
    en: str

    def __str__(self) -> str:
        """Both languages, Vietnamese first."""
        return f"{self.vi} · {self.en}"


_TEXTS: Final[Mapping[RefusalCode, tuple[str, str]]] = {
    RefusalCode.EMPTY: ("tệp rỗng, hãy chép lại", "it holds no sound: it is empty; copy it again"),
    RefusalCode.NOT_AUDIO: (
        "không phải tệp âm thanh đọc được ({found}); hãy đưa MP3, WAV, FLAC hoặc AAC",
        "it is no sound file that can be read ({found}): give MP3, WAV, FLAC or AAC",
    ),
    RefusalCode.UNREADABLE: ("không đọc được tệp: {found}", "it cannot be read: {found}"),
    RefusalCode.TOO_LARGE: (
        "tệp lớn {found} byte, tối đa {limit}; hãy cắt ngắn hoặc nén lại",
        "it has {found} bytes; at most {limit} are taken: cut or compress it",
    ),
    RefusalCode.TOO_LONG: (
        "dài hơn {limit} phút; hãy cắt thành nhiều phần",
        "it lasts longer than {limit} min: cut it into parts",
    ),
    RefusalCode.TOO_SHORT: (
        "chỉ dài {found} ms, ít nhất {limit} ms; có đúng tệp không?",
        "it lasts {found} ms; at least {limit} ms: is it the right file?",
    ),
    RefusalCode.SILENT: (
        "không có tiếng ({found} LUFS, cần hơn {limit}); hãy thu lại to hơn",
        "it is silent ({found} LUFS, more than {limit} is needed); record it again, louder",
    ),
    RefusalCode.MOSTLY_SILENT: (
        "im lặng {found}% thời gian (tối đa {limit}%); hãy cắt bỏ đoạn im lặng",
        "it is silent for {found}% of its time (at most {limit}%): cut the silence out",
    ),
    RefusalCode.CLIPPED: (
        "bị vỡ tiếng ở {found}% thời gian (tối đa {limit}%); hãy thu lại nhỏ hơn",
        "it is clipped for {found}% of its time (at most {limit}%): record it again at a lower level",
    ),
    RefusalCode.OUT_OF_PHASE: (
        "hai kênh triệt tiêu nhau {found} dB (tối đa {limit}); hãy đưa một kênh, hoặc sửa dây đảo cực",
        "its channels cancel each other by {found} dB (at most {limit}): give one alone, or mend the reversed cable",
    ),
    RefusalCode.CANNOT_LEVEL: (
        "không đưa được về mức {limit} dBTP (còn {found}); hãy gửi bản thu khác",
        "its peaks cannot be brought to {limit} dBTP ({found} remain): give another recording",
    ),
    RefusalCode.TOO_HARD: (
        "xử lý tệp bị dừng: {found}; hãy chuyển sang MP3 hoặc WAV rồi gửi lại",
        "the work on it was ended: {found}; convert it to MP3 or WAV and give that",
    ),
    RefusalCode.WRONG_CONTENT: (
        "nội dung nhận được không khớp mã SHA-256 ({found}); hãy gửi lại",
        "what arrived has another SHA-256 than was said ({found}): send it again",
    ),
    RefusalCode.DISK_FULL: (
        "máy chủ chỉ còn {found} byte trống, cần {limit}; hãy xoá bớt media không dùng",
        "the controller's disk has {found} bytes free, {limit} are needed: remove media that nothing needs",
    ),
    RefusalCode.ADDRESS_FORBIDDEN: (
        "không được phép tải từ địa chỉ này: {found}",
        "nothing is pulled from this address: {found}",
    ),
    RefusalCode.UNREACHABLE: ("không tải được: {found}", "it could not be pulled: {found}"),
    RefusalCode.STORE_FAILED: (
        "không ghi được vào kho media: {found}",
        "it cannot be taken into the store: {found}",
    ),
}


def refusal(code: RefusalCode, *, found: object = "", limit: object = "") -> Refusal:
    """A refusal with what was found and what would have been taken."""
    vi, en = _TEXTS[code]
    return Refusal(code=code, vi=vi.format(found=found, limit=limit), en=en.format(found=found, limit=limit))
