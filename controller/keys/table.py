"""A keyset and a root as people read them: who may sign what, where, until when. Vietnamese first, English beside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final
from zoneinfo import ZoneInfo

from controller.keys.changes import expiring
from controller.keys.draft import day_text
from controller.keys.scopes import CLASS_WORDS, REALITY_WORDS, SIGNABLE_TYPES, TYPE_WORDS
from controller.tables import Row, table_of
from protocol.keyring import ANYWHERE, RootKeys
from protocol.messages import Keyset, OperationalKey

EVERYWHERE: Final = "mọi nơi / everywhere"
EVERYTHING: Final = "mọi loại / everything"
_SHOWN: Final = (
    ("khoá / key", "key"),
    ("trạng thái / state", "state"),
    ("đến / until", "until"),
    ("thật, diễn tập / reality", "realities"),
    ("khu vực / areas", "areas"),
    ("cấp bản tin / classes", "classes"),
)


def keyset_text(keyset: Keyset, *, verdict: str, now_ms: int) -> str:
    """The whole keyset; `verdict` says who signed it, or that nobody looked."""
    rows = [_row(key, now_ms) for key in keyset.keys]
    columns = tuple((title, _cell(name)) for title, name in _SHOWN)
    lines = [
        f"bộ khoá / keyset {keyset.counter}: {day_text(keyset.not_before_ms)} - {day_text(keyset.expires_at_ms)}",
        verdict,
        "",
        table_of(rows, columns, time_zone="Asia/Ho_Chi_Minh"),
        "",
        "được ký / may sign:",
        *(f"  {key.key_id}: {_types(key)}" for key in keyset.keys),
    ]
    lines += [f"  {key.key_id}: THU HỒI / REVOKED: {key.revoked_reason or '-'}" for key in keyset.keys if key.revoked]
    warned = list(expiring(keyset, now_ms))
    return "\n".join([*lines, *([""] if warned else []), *(f"! {line}" for line in warned)])


def root_text(roots: Iterable[RootKeys]) -> str:
    """One root after the other, the one in force last."""
    return "\n".join(_root_lines(roots))


def state_of(key: OperationalKey, now_ms: int) -> str:
    """Whether a key may sign now, in both languages."""
    if key.revoked:
        return "thu hồi / revoked"
    if now_ms >= key.expires_at_ms:
        return "hết hạn / expired"
    if now_ms < key.not_before_ms:
        return "chưa dùng được / not yet valid"
    return "đang dùng / valid"


def _row(key: OperationalKey, now_ms: int) -> dict[str, str]:
    scope = key.scope
    return {
        "key": key.key_id,
        "state": state_of(key, now_ms),
        "until": day_text(key.expires_at_ms),
        "realities": ", ".join(REALITY_WORDS[each] for each in scope.realities),
        "areas": EVERYWHERE if ANYWHERE in scope.areas else ", ".join(scope.areas),
        "classes": EVERYTHING
        if set(scope.classes) == set(CLASS_WORDS)
        else ", ".join(CLASS_WORDS[each] for each in scope.classes),
    }


def _types(key: OperationalKey) -> str:
    if set(key.scope.document_types) == set(SIGNABLE_TYPES):
        return EVERYTHING
    return "; ".join(TYPE_WORDS.get(each, each) for each in key.scope.document_types)


def _cell(name: str) -> Callable[[Row, ZoneInfo], str]:
    return lambda row, _: str(row[name])


def _root_lines(roots: Iterable[RootKeys]) -> Iterator[str]:
    for root in roots:
        yield f"khoá gốc / root {root.version}: {root.threshold} trên / of {len(root.keys)} phải ký / must sign"
        yield from (f"  {key_id}  {public_key}" for key_id, public_key in root.keys.items())
