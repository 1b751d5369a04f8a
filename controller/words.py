"""What the protocol's values are called on a screen: Vietnamese, then English (domain.md's words)."""

from __future__ import annotations

import re
from collections.abc import Callable
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
    # roles and accounts
    "viewer": ("người xem", "viewer"),
    "author": ("biên tập", "author"),
    "approver": ("người duyệt", "approver"),
    "operator": ("vận hành", "operator"),
    "technician": ("kỹ thuật", "technician"),
    "administrator": ("quản trị", "administrator"),
    "auditor": ("kiểm tra", "auditor"),
    "invited": ("đã mời", "invited"),
    "active": ("đang dùng", "active"),
    "disabled": ("đã khoá", "disabled"),
    # deeds of the audit log
    "deed_login": ("đăng nhập", "login"),
    "deed_logout": ("đăng xuất", "logout"),
    "deed_second_factor": ("yếu tố thứ hai", "second factor"),
    "deed_step_up": ("xác nhận lại", "step-up"),
    "deed_refused": ("bị chặn", "turned away"),
    "deed_emergency": ("phát khẩn cấp", "emergency"),
    "deed_drill": ("diễn tập", "drill"),
    "deed_all_clear": ("báo yên", "all-clear"),
    "deed_correction": ("đính chính", "correction"),
    "deed_relay_start": ("bắt đầu tiếp âm", "relay started"),
    "deed_relay_stop": ("dừng tiếp âm", "relay stopped"),
    "deed_voice": ("nói trực tiếp", "spoke live"),
    "deed_voice_end": ("thôi nói", "live voice ended"),
    "deed_silence": ("lệnh im lặng", "silence ordered"),
    "deed_silence_release": ("bỏ lệnh im lặng", "silence released"),
    "deed_clone": ("thẻ nhớ bị sao chép", "card was cloned"),
    "deed_media": ("kho âm thanh", "media"),
    "deed_account": ("tài khoản", "own account"),
    "deed_people": ("người dùng", "people"),
    "deed_token": ("mã API", "API token"),
    "deed_configuration": ("cấu hình", "configuration"),
    "deed_keys": ("khoá ký", "keys"),
    "deed_enrol_claim": ("cấp mã đăng ký", "claim code made"),
    "deed_enrol_approve": ("duyệt hộp", "unit approved"),
    "deed_enrol_refuse": ("từ chối hộp", "unit refused"),
    "deed_enrol_revoke": ("thu hồi hộp", "unit revoked"),
    "deed_enrol_issue": ("hộp vào hệ thống", "unit enrolled"),
    # the amplifier
    "off": ("tắt", "off"),
    "warming": ("đang sấy", "warming up"),
    "on": ("bật", "on"),
    "holding": ("giữ", "holding"),
}

REASONS: Final[dict[str, tuple[str, str]]] = {
    # why a step of an airing came, as a node's record says it
    "on time": ("đúng giờ", "on time"),
    "joined late": ("vào muộn", "joined late"),
    "finished": ("phát hết", "played to its end"),
    "pre_empted": ("nhường bản tin ưu tiên hơn", "pre-empted"),
    "stopped": ("được dừng", "stopped"),
    "revoked": ("khoá ký đã bị thu hồi", "its key was revoked"),
    "all_clear": ("báo yên", "all-clear"),
    "correction": ("đính chính", "correction"),
    "expired": ("hết hạn", "expired"),
    "stalled": ("mất tín hiệu", "stream stalled"),
    "no_stream": ("không có luồng tiếp âm", "no stream came"),
    "media_missing": ("thiếu tệp âm thanh", "media missing"),
    "quiet_hours": ("giờ yên lặng", "quiet hours"),
    "stale": ("đã hết hiệu lực", "no longer valid"),
    "air_time_session": ("hết thời lượng một buổi phát", "the session's air time is used up"),
    "air_time_sessions": ("đã phát đủ số buổi trong ngày", "the day's sessions are used up"),
    "air_time_day": ("hết thời lượng phát trong ngày", "the day's air time is used up"),
    "fetch_budget": ("hết dung lượng tải trong ngày", "the day's download budget is used up"),
    "card_failed": ("hỏng đường âm thanh", "sound card failed"),
    "amplifier_failed": ("hỏng tăng âm", "amplifier failed"),
    "clock_unknown": ("chưa rõ giờ", "clock unknown"),
    "shut_down": ("thiết bị tắt", "node shut down"),
    "power_cut": ("mất điện", "power cut"),
    "power_off": ("trụ không có điện", "the node was off"),
    "too_late": ("trụ vừa bật, không kịp phát", "the node came up too late"),
    "late_plan": ("lịch đến muộn", "the plan came too late"),
    "silenced": ("im lặng theo lệnh", "silent by order"),
    "stop_button": ("nút dừng tại loa", "stop button on the pole"),
}

FAULTS: Final[dict[str, tuple[str, str]]] = {
    "store": ("không ghi được sổ", "store cannot be written"),
    "store_damaged": ("sổ hỏng, đã lập lại", "store was damaged and rebuilt"),
    "disk_full": ("đầy thẻ nhớ", "disk full"),
    "cut_off": ("đã tắt đột ngột", "was cut off"),
    "media": ("thiếu tệp âm thanh", "media missing"),
    "sound_card": ("hỏng đường âm thanh", "sound card"),
    "amplifier": ("hỏng tăng âm", "amplifier"),
    "plan_ended": ("không còn lịch phát", "no plan left"),
    "reports_dropped": ("mất bớt nhật ký", "reports dropped"),
    "clock_unknown": ("chưa rõ giờ", "clock unknown"),
    "silenced": ("im lặng theo lệnh", "silent by order"),
    "stop_button": ("có người bấm nút dừng", "stop button pressed"),
    "button": ("hỏng nút dừng", "stop button broken"),
    "horn": ("loa không kêu đúng", "horn not heard as it should be"),
    "taken_over": ("máy khác dùng tên này", "another unit under this name"),
    "clone": ("thẻ nhớ bị sao chép", "card was cloned"),
}

FEED_ALARMS: Final[dict[str, tuple[str, str]]] = {
    # what is wrong with a station, as the watch over a feed says it
    "unreachable": ("không tới được đài", "station unreachable"),
    "http_status": ("đài từ chối hoặc đã đổi địa chỉ", "refused or moved"),
    "not_audio": ("địa chỉ không có âm thanh", "no audio there"),
    "silent": ("đài phát im lặng", "the station is silent"),
    "stalled": ("đài ngừng gửi", "the station stopped sending"),
}

PACKET_FAULTS: Final[dict[str, tuple[str, str]]] = {
    # why packets and frames of a stream were of no use, as a node counts them
    "late": ("đến muộn", "late"),
    "duplicate": ("đến hai lần", "twice"),
    "too_early": ("quá sớm", "too early"),
    "off_grid": ("lệch mốc", "off the grid"),
    "old_epoch": ("của lần gửi cũ", "of an old epoch"),
    "other_stream": ("của luồng khác", "of another stream"),
    "undecodable": ("không giải mã được", "undecodable"),
    "wrong_duration": ("sai độ dài", "wrong duration"),
    "stereo": ("hai kênh", "stereo"),
}

_JOINED_LATE: Final = re.compile(r"joined (\d+) ms after its start\Z")


def reason_words(reason: str) -> tuple[str, str]:
    """A record's reason in both languages; what is not known is shown as it came."""
    late = _JOINED_LATE.match(reason)
    if late is None:
        return REASONS.get(reason, (reason, reason))
    vietnamese, english = REASONS["joined late"]
    seconds = int(late[1]) / 1000
    return f"{vietnamese} {seconds:.1f} giây", f"{english} by {seconds:.1f} s"


def fault_words(fault: str) -> tuple[str, str]:
    """A node's fault in both languages; what is not known is shown as it came."""
    return FAULTS.get(fault, (fault, fault))


def alarm_words(alarm: str) -> tuple[str, str]:
    """What is wrong with a feed in both languages; what is not known is shown as it came."""
    return FEED_ALARMS.get(alarm, (alarm, alarm))


def packet_fault_words(fault: str) -> tuple[str, str]:
    """Why packets were of no use, in both languages; what is not known is shown as it came."""
    return PACKET_FAULTS.get(fault, (fault, fault))


def with_detail(words: Callable[[str], tuple[str, str]], told: str) -> tuple[str, str, str]:
    """`name` or `name: detail`: the name in both languages, and the detail as it came."""
    name, _, detail = told.partition(": ")
    return (*words(name), detail)
