"""The sheet that a technician signs: each check with what was measured, Vietnamese first.

A check that could not be carried out has failed: no evidence, no pass.
"""

from __future__ import annotations

import msgspec
from rich.table import Table


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the sheet."""

    id: str
    title: str
    title_english: str
    ok: bool
    measured: str


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """All lines, in the order in which they were done."""

    target: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether the device may be hung on a pole."""
        return bool(self.checks) and all(check.ok for check in self.checks)


TITLES = {
    "connects": ("Kết nối máy chủ", "connects"),
    "assignment": ("Nhận cấu hình, lịch phát, tệp", "assignment, plan and media taken"),
    "on_time": ("Phát đúng giờ theo lịch", "planned item heard on time"),
    "level": ("Mức âm lượng", "level of the planned item"),
    "unbroken": ("Không đứt tiếng", "no gaps"),
    "emergency": ("Phát khẩn cấp chen ngang", "emergency cuts in"),
    "all_clear": ("Báo yên, trở lại đúng lịch", "all-clear: what is due goes on in step"),
    "power": ("Chỉ cấp điện âm ly khi phát", "relay powered only with sound"),
    "forged": ("Từ chối lệnh giả mạo", "a forged order is refused"),
    "replayed": ("Từ chối lệnh phát lại", "a replayed order is refused"),
    "recovery": ("Tự phục hồi sau mất điện", "recovers from a power cut"),
}


def check(name: str, *, ok: bool, measured: str) -> Check:
    """A line, with the titles of its check."""
    title, english = TITLES[name]
    return Check(id=name, title=title, title_english=english, ok=ok, measured=measured)


def table_of(sheet: Sheet) -> Table:
    """The sheet as it is printed."""
    table = Table(title=f"Phiếu kiểm tra thiết bị · device sheet: {sheet.target}", title_justify="left")
    table.add_column("Kiểm tra · check")
    table.add_column("Kết quả · result")
    table.add_column("Đo được · measured")
    for each in sheet.checks:
        table.add_row(f"{each.title} · {each.title_english}", "ĐẠT · pass" if each.ok else "HỎNG · FAIL", each.measured)
    table.caption = "ĐẠT: lắp được · may be installed" if sheet.ok else "CHƯA ĐẠT: không lắp · must not be installed"
    return table
