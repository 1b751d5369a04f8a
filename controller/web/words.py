"""What the protocol's values are called on a screen: Vietnamese, then English (domain.md's words)."""

from __future__ import annotations

from typing import Final

WORDS: Final[dict[str, tuple[str, str]]] = {
    # a node's state
    "ready": ("hoạt động", "ready"),
    "init": ("đang khởi động", "starting"),
    "disconnected": ("đã tắt", "shut down"),
    "lost": ("mất liên lạc", "lost"),
    "unknown": ("chưa rõ", "unknown"),
    # kinds of what sounds, classes, reality
    "media": ("chương trình", "programme"),
    "stream": ("tiếp âm", "relay"),
    "emergency": ("khẩn cấp", "emergency"),
    "routine": ("thông thường", "routine"),
    "priority": ("ưu tiên", "priority"),
    "real": ("thật", "real"),
    "drill": ("diễn tập", "drill"),
    # airing records
    "started": ("bắt đầu", "started"),
    "finished": ("kết thúc", "finished"),
    "missed": ("bỏ lỡ", "missed"),
    "refused": ("từ chối", "refused"),
    # emergencies
    "raised": ("đã phát lệnh", "raised"),
    "sounding": ("đang phát", "sounding"),
    "all_clear": ("đã báo yên", "all-clear"),
    "corrected": ("đã đính chính", "corrected"),
    "expired": ("hết hạn", "expired"),
    "replaced": ("đã thay thế", "replaced"),
    # relays
    "starting": ("đang bắt đầu", "starting"),
    "on_air": ("đang tiếp âm", "on air"),
    "troubled": ("trục trặc", "troubled"),
    "ended": ("đã kết thúc", "ended"),
    # the amplifier
    "off": ("tắt", "off"),
    "warming": ("đang sấy", "warming up"),
    "on": ("bật", "on"),
    "holding": ("giữ", "holding"),
}
