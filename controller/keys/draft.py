"""A keyset as a person writes it: YAML with one block for each key, and back.

What is drafted is what the root's holders read before they sign. Dates are local days in quotes: a key is valid from
the beginning of its first day to the end of its last, or between two instants (`"2027-01-31T12:00+07:00"`).

Rules kept: a draft names its version, so that two people cannot sign two keysets of one version unseen; text to
keyset and back says the same. Whether the draft is wise in view of the keyset in force is judged in `changes`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import msgspec
import yaml
from msgspec import Meta, Struct

from controller.errors import KeyFileError
from controller.keys.scopes import SIGNABLE_TYPES
from protocol.configuration import SettingsError, parse_settings
from protocol.identity import EVERYONE, KeyId
from protocol.keyring import ANYWHERE
from protocol.messages import BroadcastClass, Counter, KeyScope, Keyset, OperationalKey, Reality, Reason, ScopeArea

ZONE: Final = dt.timezone(dt.timedelta(hours=7))
"""Vietnam has one time and no summer time."""
KEYS_MAX: Final = 64
DAY_MS: Final = 24 * 3600 * 1000
_EAST_MS: Final = 7 * 3600 * 1000
_HEAD: Final = """\
# Bộ khoá của tỉnh / the province's keyset. Đọc kỹ trước khi ký / read it before you sign it.
# areas: khu vực và mọi nơi bên dưới; "*" là mọi nơi / an area and all below it; "*" is everywhere
# Ngày trong ngoặc kép, giờ Việt Nam / dates in quotes, Vietnam's time
"""


class KeyDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One key."""

    key_id: KeyId
    public_key: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", description="as `keys create` prints it")]
    valid_from: str
    valid_until: str
    areas: Annotated[tuple[ScopeArea, ...], Meta(min_length=1, max_length=64)]
    classes: Annotated[tuple[BroadcastClass, ...], Meta(min_length=1, max_length=3)]
    realities: Annotated[tuple[Reality, ...], Meta(min_length=1, max_length=2)]
    document_types: Annotated[tuple[str, ...], Meta(min_length=1, max_length=16)]
    revoked: Reason = ""


class KeysetDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole file. `revoked` is the reason; a key that has one is revoked."""

    version: Counter
    valid_from: str
    valid_until: str
    keys: Annotated[tuple[KeyDraft, ...], Meta(min_length=1, max_length=KEYS_MAX)]


def parse_draft(text: str, *, name: str) -> Keyset:
    """The keyset that a draft describes; raises KeyFileError that names the place."""
    try:
        draft = parse_settings(text, KeysetDraft, name=name)
    except SettingsError as error:
        hint = " (write dates in quotes)" if "got `date" in str(error) else ""
        raise KeyFileError(f"{error}{hint}") from error
    unknown = sorted({each for key in draft.keys for each in key.document_types} - set(SIGNABLE_TYPES))
    if unknown:
        raise KeyFileError(f"{name}: document_types: {', '.join(unknown)}; there are: {', '.join(SIGNABLE_TYPES)}")
    return Keyset(
        id=f"keyset.{draft.version}",
        issuer="root",
        audience=EVERYONE,
        counter=draft.version,
        not_before_ms=begin_ms(draft.valid_from, f"{name}: valid_from"),
        expires_at_ms=end_ms(draft.valid_until, f"{name}: valid_until"),
        keys=tuple(_key(key, name) for key in draft.keys),
    )


def draft_text(keyset: Keyset) -> str:
    """The draft that describes a keyset."""
    draft = KeysetDraft(
        version=keyset.counter,
        valid_from=_from_text(keyset.not_before_ms),
        valid_until=_until_text(keyset.expires_at_ms),
        keys=tuple(_draft(key) for key in keyset.keys),
    )
    plain: dict[str, Any] = msgspec.to_builtins(draft)
    return _HEAD + yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def begin_ms(text: str, where: str) -> int:
    """The first instant of a day, or an instant with its time zone; raises KeyFileError."""
    return _instant(text, where, days=0)


def end_ms(text: str, where: str) -> int:
    """The end of a day, or an instant; raises KeyFileError."""
    return _instant(text, where, days=1)


def day_begin_ms(at_ms: int) -> int:
    """When the local day of an instant began: what is drafted begins and ends with whole days."""
    return (at_ms + _EAST_MS) // DAY_MS * DAY_MS - _EAST_MS


def day_text(at_ms: int) -> str:
    """An instant as a person reads it."""
    return f"{dt.datetime.fromtimestamp(at_ms / 1000, ZONE):%Y-%m-%d %H:%M}"


def widest_key(key_id: str, public_key: bytes, *, reality: Reality, begins_ms: int, ends_ms: int) -> OperationalKey:
    """A key that may sign everything everywhere, of one reality: for a desk, or to be narrowed by hand."""
    return OperationalKey(
        key_id=key_id,
        public_key=public_key,
        scope=KeyScope(
            document_types=SIGNABLE_TYPES, areas=(ANYWHERE,), classes=tuple(BroadcastClass), realities=(reality,)
        ),
        not_before_ms=begins_ms,
        expires_at_ms=ends_ms,
    )


def first_keyset(keys: Iterable[OperationalKey], *, version: int, begins_ms: int, ends_ms: int) -> Keyset:
    """A keyset before which there was none."""
    return Keyset(
        id=f"keyset.{version}",
        issuer="root",
        audience=EVERYONE,
        counter=version,
        not_before_ms=begins_ms,
        expires_at_ms=ends_ms,
        keys=tuple(keys),
    )


def successor(keyset: Keyset, keys: Iterable[OperationalKey], *, now_ms: int, days: int) -> Keyset:
    """The next version with these keys, valid for so many days from now and never shorter than before."""
    version = keyset.counter + 1
    return msgspec.structs.replace(
        keyset,
        id=f"keyset.{version}",
        counter=version,
        expires_at_ms=max(keyset.expires_at_ms, day_begin_ms(now_ms) + days * DAY_MS),
        keys=tuple(keys),
    )


def _key(draft: KeyDraft, name: str) -> OperationalKey:
    where = f"{name}: {draft.key_id}"
    return OperationalKey(
        key_id=draft.key_id,
        public_key=bytes.fromhex(draft.public_key),
        scope=KeyScope(
            document_types=tuple(sorted(set(draft.document_types))),
            areas=draft.areas,
            classes=draft.classes,
            realities=draft.realities,
        ),
        not_before_ms=begin_ms(draft.valid_from, f"{where}.valid_from"),
        expires_at_ms=end_ms(draft.valid_until, f"{where}.valid_until"),
        revoked=bool(draft.revoked),
        revoked_reason=draft.revoked,
    )


def _draft(key: OperationalKey) -> KeyDraft:
    return KeyDraft(
        key_id=key.key_id,
        public_key=key.public_key.hex(),
        valid_from=_from_text(key.not_before_ms),
        valid_until=_until_text(key.expires_at_ms),
        areas=key.scope.areas,
        classes=key.scope.classes,
        realities=key.scope.realities,
        document_types=key.scope.document_types,
        revoked=(key.revoked_reason or "no reason given") if key.revoked else "",
    )


def _instant(text: str, where: str, *, days: int) -> int:
    try:
        if len(text) == len("2027-01-31"):
            moment = dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), ZONE) + dt.timedelta(days=days)
        else:
            moment = dt.datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=ZONE)
        at_ms = (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)
    except (ValueError, OverflowError) as error:
        raise KeyFileError(f'{where}: {text!r} is no date; write "2027-01-31" or "2027-01-31T12:00+07:00"') from error
    if at_ms < 0:
        raise KeyFileError(f"{where}: {text} is before 1970")
    return at_ms


def _from_text(at_ms: int) -> str:
    return _text(at_ms, days=0)


def _until_text(at_ms: int) -> str:
    return _text(at_ms, days=1)


def _text(at_ms: int, *, days: int) -> str:
    moment = dt.datetime(1970, 1, 1, tzinfo=ZONE) + dt.timedelta(milliseconds=at_ms, hours=7)
    if moment.time() == dt.time() and moment.toordinal() > days:
        return (moment.date() - dt.timedelta(days=days)).isoformat()
    return moment.isoformat()


class _Dumper(yaml.SafeDumper):
    """Blocks of keys, lists of words on one line, and dates in quotes as they must be given."""


def _sequence(dumper: _Dumper, value: Sequence[Any]) -> yaml.Node:
    is_short = all(isinstance(each, str) for each in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=is_short)


_Dumper.add_representer(list, _sequence)
_Dumper.add_representer(tuple, _sequence)
