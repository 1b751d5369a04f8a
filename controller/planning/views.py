"""A dry run and a difference as API and commands show them.

Plain structs with the names that records use, so that what is said beforehand can be held against what is on record.
"""

from __future__ import annotations

from msgspec import Struct

from controller.planning.difference import Change, Difference
from controller.planning.dry_run import DryRun, Fate, Span, Verdict, Why
from protocol.messages import BroadcastClass, Over, Reality


class SpanView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stretch of sound, `is_bed` below another's speech.

    `gain_db` is how loud it plays (above the calibrated level), `is_capped` where a cap of the place holds it down.
    """

    from_ms: int
    until_ms: int
    is_bed: bool = False
    gain_db: float = 0.0
    is_capped: bool = False


class LossView(Struct, frozen=True, kw_only=True):
    """Silent for another item, `to`, by a step of the collision rule."""

    to: str
    to_title: str
    to_area: str
    why: Why
    from_ms: int
    until_ms: int


class RefusalView(Struct, frozen=True, kw_only=True):
    """Kept silent by a rule of the place."""

    reason: str
    from_ms: int
    until_ms: int


class ItemView(Struct, frozen=True, kw_only=True):
    """One item and what becomes of it on the pole; `wins_over` are the keys of what is silent for it."""

    key: str
    occurrence: str
    area: str
    title: str
    broadcast_class: BroadcastClass
    reality: Reality
    starts_at_ms: int
    ends_at_ms: int
    media: str | None
    feed: str | None
    over: Over
    before_upper: bool
    verdict: Verdict
    sounding_ms: int
    sounds: tuple[SpanView, ...]
    wins_over: tuple[str, ...]
    losses: tuple[LossView, ...]
    refusals: tuple[RefusalView, ...]


class ChangeView(Struct, frozen=True, kw_only=True):
    """One item that a draft changes."""

    key: str
    change: Change
    before: ItemView | None
    after: ItemView | None


class PlanStanding(Struct, frozen=True, kw_only=True):
    """A plan that was played through; `counter` None: it is a draft.

    `size_bytes` is that of the body that nodes fetch; 0 where the plan fits its message.
    """

    area: str
    counter: int | None
    covers_until_ms: int
    size_bytes: int
    is_cut: bool = False


class PolePlanView(Struct, frozen=True, kw_only=True):
    """What sounds on one pole in the coming days."""

    pole: str
    title: str
    areas: tuple[str, ...]
    time_zone: str
    from_ms: int
    until_ms: int
    known_until_ms: int | None
    plans: tuple[PlanStanding, ...]
    items: tuple[ItemView, ...]
    changes: tuple[ChangeView, ...] = ()
    warnings: tuple[str, ...] = ()


def items_of(run: DryRun) -> tuple[ItemView, ...]:
    """Every item of a run, by its begin."""
    told = _Told(run)
    return tuple(told.item(fate) for fate in run.fates)


def changes_of(found: tuple[Difference, ...], before: DryRun, after: DryRun) -> tuple[ChangeView, ...]:
    """What a draft changes."""
    known, coming = _Told(before), _Told(after)
    return tuple(
        ChangeView(
            key=each.key,
            change=each.change,
            before=None if each.before is None else known.item(each.before),
            after=None if each.after is None else coming.item(each.after),
        )
        for each in found
    )


class _Told:
    """One run, with who beats whom looked up once."""

    def __init__(self, run: DryRun) -> None:
        self._fates = {fate.candidate.key: fate for fate in run.fates}
        self._beaten: dict[str, dict[str, None]] = {}
        for fate in run.fates:
            for loss in fate.losses:
                self._beaten.setdefault(loss.to, {})[fate.candidate.key] = None

    def item(self, fate: Fate) -> ItemView:
        """One item as it is shown."""
        candidate, fates = fate.candidate, self._fates
        return ItemView(
            key=candidate.key,
            occurrence=candidate.source_id,
            area=candidate.area,
            title=candidate.title,
            broadcast_class=candidate.broadcast_class,
            reality=candidate.reality,
            starts_at_ms=candidate.starts_at_ms,
            ends_at_ms=candidate.ends_at_ms,
            media=None if candidate.media is None else candidate.media.sha256,
            feed=candidate.feed,
            over=candidate.over,
            before_upper=candidate.before_upper,
            verdict=fate.verdict,
            sounding_ms=fate.sounding_ms,
            sounds=tuple(_span(span) for span in fate.sounds),
            wins_over=tuple(self._beaten.get(candidate.key, ())),
            losses=tuple(
                LossView(
                    to=loss.to,
                    to_title=fates[loss.to].candidate.title,
                    to_area=fates[loss.to].candidate.area,
                    why=loss.why,
                    from_ms=loss.span.from_ms,
                    until_ms=loss.span.until_ms,
                )
                for loss in fate.losses
            ),
            refusals=tuple(
                RefusalView(reason=each.reason, from_ms=each.span.from_ms, until_ms=each.span.until_ms)
                for each in fate.refusals
            ),
        )


def _span(span: Span) -> SpanView:
    return SpanView(
        from_ms=span.from_ms,
        until_ms=span.until_ms,
        is_bed=span.is_bed,
        gain_db=span.gain_db,
        is_capped=span.is_capped,
    )
