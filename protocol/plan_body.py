"""The occurrences of a large plan as one compact body, which travels by its hash like media.

A table of items, each once, and runs: a programme's items from one begin on, back to back, as a programme is compiled.
So a week of a commune's programmes takes a quarter of what it takes occurrence by occurrence, and a node's SIM is
asked for it once a day. What is no such run stands by itself.

Rules kept: what is decoded is what was encoded, occurrence by occurrence; equal occurrences give equal bytes; all is
bounded before it is unfolded; bytes count only under the hash that a signed plan names, and within what it says.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from protocol.attention import ChimeMs, Over
from protocol.codec import cbor_decode_large, cbor_decode_own, cbor_encode
from protocol.document import BroadcastClass, Milliseconds
from protocol.errors import LocalProtocolError, Refusal, RefusalReason
from protocol.identity import DocumentId
from protocol.plan import (
    BODY_OCCURRENCES_MAX,
    PLAN_BODY_BYTES_MAX,
    BodyReference,
    Duration,
    MediaReference,
    Occurrence,
    Plan,
)
from protocol.telemetry import Title
from protocol.turns import Turns

ITEMS_MAX: Final = 2_048
"""Different items of one body: more do not fit its bytes."""
PROGRAMMES_MAX: Final = 1_024
"""Programmes of one body."""
RUN_ITEMS_MAX: Final = 64
"""Items of one run: as many as a programme has."""
WHEN_CHARACTERS_MAX: Final = 24
"""A local date and time of day, to the second, and some."""
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,5}")
_SHA256_BYTES: Final = 32
_Place = Annotated[int, Meta(ge=0, lt=max(ITEMS_MAX, PROGRAMMES_MAX))]


class _Media(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    sha256: Annotated[bytes, Meta(min_length=_SHA256_BYTES, max_length=_SHA256_BYTES)]
    size_bytes: Annotated[int, Meta(gt=0, le=64 * 1024 * 1024)]
    duration_ms: Duration


class _Item(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """What an occurrence is, but for its programme, its id and its begin."""

    title: Title
    broadcast_class: BroadcastClass
    duration_ms: Duration
    media: _Media | None
    feed: Annotated[str, Meta(max_length=64)] | None
    turns: tuple[int, int] | None
    chime_ms: ChimeMs
    over: Over
    before_upper: bool
    valid_until_ms: Milliseconds | None


class _Run(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """Items of a programme, back to back; their ids are `<programme>.<when>.<number>`, counted up from `first`."""

    programme: _Place
    when: Annotated[str, Meta(max_length=WHEN_CHARACTERS_MAX)]
    begins_after_ms: Milliseconds
    first: Annotated[int, Meta(ge=0, lt=1_000_000)]
    items: Annotated[tuple[_Place, ...], Meta(min_length=1, max_length=RUN_ITEMS_MAX)]


class _Single(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """An occurrence with an id of another kind."""

    id: DocumentId
    programme: _Place
    begins_after_ms: Milliseconds
    item: _Place


class _Body(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """All begins are counted from `from_ms`."""

    version: Literal[1]
    from_ms: Milliseconds
    programmes: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=PROGRAMMES_MAX)]
    items: Annotated[tuple[_Item, ...], Meta(max_length=ITEMS_MAX)]
    runs: Annotated[tuple[_Run, ...], Meta(max_length=BODY_OCCURRENCES_MAX)]
    singles: Annotated[tuple[_Single, ...], Meta(max_length=BODY_OCCURRENCES_MAX)]


def encode_body(occurrences: Sequence[Occurrence]) -> tuple[BodyReference, bytes]:
    """The body of these occurrences, and how a plan names it; raises LocalProtocolError where they are too many.

    The order of their begins is the order in which they are given back.
    """
    if not 0 < len(occurrences) <= BODY_OCCURRENCES_MAX:
        raise LocalProtocolError(f"{len(occurrences)} occurrences in a plan's body; 1 to {BODY_OCCURRENCES_MAX} fit")
    body = _Folding(occurrences).body()
    data = cbor_encode(body)
    if len(data) > PLAN_BODY_BYTES_MAX or len(body.items) > ITEMS_MAX or len(body.programmes) > PROGRAMMES_MAX:
        raise LocalProtocolError(f"a plan's body of {len(data)} bytes; at most {PLAN_BODY_BYTES_MAX} are carried")
    reference = BodyReference(
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        occurrences=len(occurrences),
        classes=tuple(sorted({each.broadcast_class for each in occurrences})),
        ends_at_ms=max(each.start_at_ms + each.duration_ms for each in occurrences),
    )
    return reference, data


def decode_body(data: bytes) -> tuple[Occurrence, ...]:
    """The occurrences of a body, by their begin; raises Refusal(MALFORMED or TOO_LARGE)."""
    body = cbor_decode_large(data, _Body, bytes_max=PLAN_BODY_BYTES_MAX)
    count = sum(len(run.items) for run in body.runs) + len(body.singles)
    if count > BODY_OCCURRENCES_MAX:
        raise Refusal(RefusalReason.TOO_LARGE, f"{count} occurrences; at most {BODY_OCCURRENCES_MAX}")
    try:
        plain = [each for run in body.runs for each in _unfolded(body, run)]
        plain += [_plain(body, each.id, each.programme, each.begins_after_ms, each.item) for each in body.singles]
        found = msgspec.convert(plain, list[Occurrence], strict=True)
    except (IndexError, ValueError) as error:  # msgspec's ValidationError is one of these
        raise Refusal(RefusalReason.MALFORMED, f"a plan's body: {error}"[:200]) from error
    if len({each.id for each in found}) < len(found):
        raise Refusal(RefusalReason.MALFORMED, "an occurrence stands twice in a plan's body")
    return tuple(sorted(found, key=_by_begin))


def relays_in(data: bytes) -> tuple[Occurrence, ...]:
    """The relays of a body that this side has encoded: a province's are read at a start, most without any relay."""
    body = cbor_decode_own(data, _Body)
    relays = {place for place, item in enumerate(body.items) if item.feed is not None}
    runs = [run for run in body.runs if not relays.isdisjoint(run.items)]
    plain = [each for run in runs for each in _unfolded(body, run) if each["feed"] is not None]
    plain += [
        _plain(body, each.id, each.programme, each.begins_after_ms, each.item)
        for each in body.singles
        if each.item in relays
    ]
    return tuple(sorted(msgspec.convert(plain, list[Occurrence], strict=True), key=_by_begin))


def filled(plan: Plan, data: bytes, occurrences: Sequence[Occurrence]) -> Plan:
    """The plan with what `decode_body` gave of its body; raises Refusal for another body, or one beyond its bounds."""
    reference = plan.body
    if reference is None or hashlib.sha256(data).hexdigest() != reference.sha256:
        raise Refusal(RefusalReason.MALFORMED, f"the body of the plan {plan.id} has another hash than the plan names")
    if len(occurrences) > reference.occurrences or len(data) != reference.size_bytes:
        raise Refusal(RefusalReason.MALFORMED, f"the body of the plan {plan.id} is larger than the plan says")
    if not {each.broadcast_class for each in occurrences} <= set(reference.classes):
        raise Refusal(
            RefusalReason.WRONG_SCOPE, f"the body of the plan {plan.id} has a class that the plan does not name"
        )
    if any(each.start_at_ms + each.duration_ms > reference.ends_at_ms for each in occurrences):
        raise Refusal(RefusalReason.WRONG_SCOPE, f"the body of the plan {plan.id} goes on longer than the plan says")
    return msgspec.structs.replace(plan, occurrences=tuple(occurrences))


class _Folding:
    """Occurrences on their way into a body."""

    def __init__(self, occurrences: Iterable[Occurrence]) -> None:
        self._occurrences = sorted(occurrences, key=_by_begin)
        self._from_ms = self._occurrences[0].start_at_ms
        self._programmes: dict[str, int] = {}
        self._items: dict[tuple[object, ...], int] = {}
        self._table: list[_Item] = []
        self._runs: dict[str, _Growing] = {}
        """The latest of each programme's begin, by what its ids begin with."""
        self._all_runs: list[_Growing] = []
        self._singles: list[_Single] = []

    def body(self) -> _Body:
        """All of them."""
        for occurrence in self._occurrences:
            self._take(occurrence)
        return _Body(
            version=1,
            from_ms=self._from_ms,
            programmes=tuple(self._programmes),
            items=tuple(self._table),
            runs=tuple(run.run() for run in self._all_runs),
            singles=tuple(self._singles),
        )

    def _take(self, occurrence: Occurrence) -> None:
        item = self._item(occurrence)
        owner, after_ms = occurrence.programme, occurrence.start_at_ms - self._from_ms
        stem, _, number = occurrence.id.rpartition(".")
        run = self._runs.get(stem)
        if run is not None and run.take(owner, number, after_ms, occurrence.duration_ms, item):
            return
        programme = self._programmes.setdefault(owner, len(self._programmes))
        when = stem[len(owner) + 1 :]
        is_counted = _NUMBER.fullmatch(number) and len(when) <= WHEN_CHARACTERS_MAX
        if not is_counted or occurrence.id != f"{owner}.{when}.{number}":
            single = _Single(id=occurrence.id, programme=programme, begins_after_ms=after_ms, item=item)
            self._singles.append(single)
            return
        run = _Growing(owner, programme, when, after_ms, int(number), item, occurrence.duration_ms)
        self._runs[stem] = run
        self._all_runs.append(run)

    def _item(self, occurrence: Occurrence) -> int:
        """The place of what an occurrence is in the table."""
        key = (
            occurrence.title,
            occurrence.broadcast_class,
            occurrence.duration_ms,
            occurrence.media,
            occurrence.feed,
            occurrence.turns,
            occurrence.chime_ms,
            occurrence.over,
            occurrence.before_upper,
            occurrence.valid_until_ms,
        )
        place = self._items.get(key)
        if place is None:
            place = self._items[key] = len(self._table)
            self._table.append(_item_of(occurrence))
        return place


class _Growing:
    """A run to which the next item of its programme is added."""

    __slots__ = ("_after_ms", "_ends_ms", "_first", "_items", "_next", "_owner", "_programme", "_when")

    def __init__(
        self, owner: str, programme: int, when: str, after_ms: int, first: int, item: int, duration_ms: int
    ) -> None:
        self._owner, self._programme, self._when = owner, programme, when
        self._after_ms, self._first = after_ms, first
        self._items = [item]
        self._ends_ms = after_ms + duration_ms
        self._next = str(first + 1)

    def take(self, owner: str, number: str, after_ms: int, duration_ms: int, item: int) -> bool:
        """Add what follows without a gap in number and time."""
        items = self._items
        if number != self._next or after_ms != self._ends_ms or owner != self._owner or len(items) >= RUN_ITEMS_MAX:
            return False
        items.append(item)
        self._ends_ms += duration_ms
        self._next = str(self._first + len(items))
        return True

    def run(self) -> _Run:
        """As it is written."""
        return _Run(
            programme=self._programme,
            when=self._when,
            begins_after_ms=self._after_ms,
            first=self._first,
            items=tuple(self._items),
        )


def _by_begin(occurrence: Occurrence) -> tuple[int, str]:
    return occurrence.start_at_ms, occurrence.id


def _item_of(occurrence: Occurrence) -> _Item:
    media, turns = occurrence.media, occurrence.turns
    return _Item(
        title=occurrence.title,
        broadcast_class=occurrence.broadcast_class,
        duration_ms=occurrence.duration_ms,
        media=None
        if media is None
        else _Media(sha256=bytes.fromhex(media.sha256), size_bytes=media.size_bytes, duration_ms=media.duration_ms),
        feed=occurrence.feed,
        turns=None if turns is None else (turns.count, turns.length_ms),
        chime_ms=occurrence.chime_ms,
        over=occurrence.over,
        before_upper=occurrence.before_upper,
        valid_until_ms=occurrence.valid_until_ms,
    )


def _unfolded(body: _Body, run: _Run) -> Iterable[dict[str, object]]:
    after_ms = run.begins_after_ms
    programme = body.programmes[run.programme]
    for number, item in enumerate(run.items, run.first):
        yield _plain(body, f"{programme}.{run.when}.{number}", run.programme, after_ms, item)
        after_ms += body.items[item].duration_ms


def _plain(body: _Body, name: str, programme: int, after_ms: int, place: int) -> dict[str, object]:
    """An occurrence as plain values, which its schema checks."""
    item = body.items[place]
    return {
        "id": name,
        "programme": body.programmes[programme],
        "title": item.title,
        "broadcast_class": item.broadcast_class,
        "start_at_ms": body.from_ms + after_ms,
        "duration_ms": item.duration_ms,
        "media": None if item.media is None else _media_of(item.media),
        "feed": item.feed,
        "turns": None if item.turns is None else Turns(count=item.turns[0], length_ms=item.turns[1]),
        "chime_ms": item.chime_ms,
        "over": item.over,
        "before_upper": item.before_upper,
        "valid_until_ms": item.valid_until_ms,
    }


def _media_of(media: _Media) -> MediaReference:
    return MediaReference(sha256=media.sha256.hex(), size_bytes=media.size_bytes, duration_ms=media.duration_ms)
