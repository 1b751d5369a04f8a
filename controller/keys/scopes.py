"""The words of a key's scope: which types of documents a key can be for, and what people call them.

A scope names document types, areas, classes and realities. The types are those of the agreement that an
operational key can sign; the root's own documents are not among them.
"""

from __future__ import annotations

from typing import Final, get_args

from protocol.clock_sync import TIME_REPLY
from protocol.messages import AnyDocument, BroadcastClass, Keyset, Reality, Root

SIGNABLE_TYPES: Final = tuple(
    sorted(
        [str(kind.__struct_config__.tag) for kind in get_args(AnyDocument) if kind not in (Root, Keyset)] + [TIME_REPLY]
    )
)
"""Every type of document that an operational key may be for."""
TYPE_WORDS: Final = {
    "acknowledgement": "xác nhận nhật ký / acknowledge reports",
    "all-clear": "báo yên / all-clear",
    "assignment": "cấu hình cụm loa / assignments",
    "emergency": "khẩn cấp / emergencies",
    "plan": "lịch phát / plans",
    "silence": "lệnh im lặng / order silence",
    "silence-release": "bỏ lệnh im lặng / release silence",
    "stream-end": "dừng tiếp âm / end streams",
    "stream-start": "tiếp âm / start streams",
    TIME_REPLY: "giờ chuẩn / time",
}
CLASS_WORDS: Final = {
    BroadcastClass.ROUTINE: "thường / routine",
    BroadcastClass.PRIORITY: "ưu tiên / priority",
    BroadcastClass.EMERGENCY: "khẩn cấp / emergency",
}
REALITY_WORDS: Final = {Reality.REAL: "thật / real", Reality.DRILL: "diễn tập / drill"}
