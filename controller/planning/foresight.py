"""What the desk can say of a pole in advance: by the plans that stand, or by a draft beside them; pure.

Joins the site with the dry run: what a pole is comes from its place, the plans from the broker's retained topics as the
desk keeps them, a draft from programmes that nobody has saved yet. Nothing is stored or published here.

Rules kept: a run begins with the local day, so that what has used its air time by now counts, as far as the plans that
stand still tell it; shown is what is not over yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from controller.configuration.site import MediaShelf, Site, quiet_hours_of, with_changed
from controller.errors import RequestCode, RequestError
from controller.planning.compile import COMPILED_MS, DAY_MS, Compiled, compile_area
from controller.planning.difference import differences
from controller.planning.dry_run import DryRun, Fate, Pole, dry_run
from controller.planning.views import PlanStanding, PolePlanView, changes_of, items_of
from controller.programmes.programme import Programme
from controller.programmes.ready import ready_of
from controller.programmes.sources import items_of as sounds_of
from controller.records import RelayState
from controller.views import RelayView
from protocol.air_time import local_day
from protocol.house_rules import HouseRules
from protocol.identity import area_audience
from protocol.messages import Plan
from protocol.units import US_PER_MS, SharedMs

DAYS_MAX: Final = 31
"""A month of a draft; what stands is known for a week."""
STANDING_DAYS_MAX: Final = COMPILED_MS // DAY_MS
PlanOf = Callable[[str], Plan | None]
"""The plan that stands for an area."""
DOUBTS_MAX: Final = 20
"""Of media and stations together; who has more looks at the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What is known now of what plans need: whether the store has a medium, by hash; which stations are in trouble."""

    has_media: Callable[[str], bool] = lambda _: True
    troubles: Mapping[str, str] = field(default_factory=dict)
    """Why, by feed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Programmes as they would be: exchanged or new by their id, or gone where None."""

    programmes: Mapping[str, Programme | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """One site at one time."""

    site: Site
    shelf: MediaShelf
    plan_of: PlanOf
    now_ms: SharedMs
    supply: Supply = field(default_factory=Supply)

    def standing(self, node: str, *, days: int) -> PolePlanView:
        """What sounds on a pole by the plans that stand; raises RequestError."""
        pole = self.pole(node)
        _require_days(days, STANDING_DAYS_MAX)
        plans = self._standing_plans(pole)
        run = self._run(pole, plans.values(), days)
        found = {area: _standing(plan) for area, plan in plans.items()}
        refused = [warning for area in pole.areas for warning in self._unprepared(self.site, area)]
        warnings = [*refused, *self._doubts(run), *self._missing(pole, plans), *self._short(run)]
        return self._view(pole, run, tuple(found.values()), warnings)

    def drafted(self, node: str, draft: Draft, *, days: int) -> PolePlanView:
        """What would sound on a pole with other programmes, and what that changes; raises RequestError."""
        pole = self.pole(node)
        _require_days(days, DAYS_MAX)
        warnings = self._shadowed(draft)
        site, _ = with_changed(self.site, draft.programmes, {})
        begins_ms, for_ms = self._today_ms(), (days + 1) * DAY_MS
        plans, told = {}, []
        for area in pole.areas:
            compiled, found = self._compiled(site, area, begins_ms, for_ms)
            warnings += found
            plans[area] = self._unsigned(area, compiled, begins_ms)
            told.append(_drafted(area, compiled))
        stands = self._standing_plans(pole)
        before, after = self._run(pole, stands.values(), days), self._run(pole, plans.values(), days)
        comparable_ms = min(after.until_ms, before.known_until_ms or after.until_ms)
        changed = differences(_until(before, comparable_ms), _until(after, comparable_ms))
        if comparable_ms < after.until_ms:
            warnings.append("the plans that stand end before the asked time; what is behind their end is not compared")
        warnings += [*self._doubts(after), *self._missing(pole, stands)]
        view = self._view(pole, after, tuple(told), warnings)
        return msgspec.structs.replace(view, changes=changes_of(changed, before, after))

    def pole(self, node: str) -> Pole:
        """What a node is; raises RequestError for one that is not known."""
        known = self.site.nodes.get(node)
        if known is None:
            raise RequestError(RequestCode.NOT_FOUND, f"pole: the node {node[:40]!r} is not known; see `show nodes`")
        policy = self.site.policies.of(node)
        rules = HouseRules(
            time_zone=self.site.time_zone,
            quiet_hours=quiet_hours_of(known),
            air_time=policy.air_time,
            volume_caps=policy.volume_caps,
        )
        return Pole(
            node=node,
            areas=self.site.tree.chain(known.area),
            rules=rules,
            gain_db=known.gain_db,
            turn=self.site.rounds.turn_of(node),
            aim_us=round(known.aiming_delay_ms * US_PER_MS),
        )

    def _today_ms(self) -> SharedMs:
        return local_day(self.site.time_zone, self.now_ms)[0]

    def _run(self, pole: Pole, plans: Iterable[Plan], days: int) -> DryRun:
        until_ms = self.now_ms + days * DAY_MS
        run = dry_run(pole, plans, from_ms=self._today_ms(), until_ms=until_ms)
        coming = (fate for fate in run.fates if fate.candidate.ends_at_ms > self.now_ms)
        return replace(run, from_ms=self.now_ms, fates=tuple(_from(fate, self.now_ms) for fate in coming))

    def _standing_plans(self, pole: Pole) -> dict[str, Plan]:
        found = {area: self.plan_of(area) for area in pole.areas}
        return {area: plan for area, plan in found.items() if plan is not None}

    def _compiled(self, site: Site, area: str, begins_ms: SharedMs, for_ms: int) -> tuple[Compiled, list[str]]:
        programmes, warnings = site.programmes_of(area), self._unprepared(site, area)
        ready = (ready_of(programme, shelf=self.shelf, site=site) for programme in programmes)
        compiled = compile_area(
            ready, time_zone=site.time_zone, now_ms=begins_ms, for_ms=for_ms, holidays=site.holidays
        )
        if compiled.is_cut:
            warnings.append(f"the plan of {area} is too large and would be cut; shorten its programmes")
        return compiled, warnings

    def _unprepared(self, site: Site, area: str) -> list[str]:
        """Items of an area's programmes that no plan has, or not as they are now, for their sound cannot be had."""
        unknown = [
            f"{programme.id}: the station {item.feed!r} is not configured; it is left out"
            for programme in site.programmes_of(area)
            for item in sounds_of(programme)
            if item.feed is not None and item.feed not in site.feeds
        ]
        return unknown + [
            f"{programme.id}: {source.key}: {self.shelf.refused.get(source.key, 'is not prepared yet; it is left out')}"
            for programme in site.programmes_of(area)
            for source in site.sources_of(programme)
            if source.key not in self.shelf.ready
        ]

    def _doubts(self, run: DryRun) -> list[str]:
        """What sounds only if something changes until then: a file that is gone, a station that is in trouble."""
        told: dict[tuple[str, str], str] = {}
        for fate in run.fates:
            item, media, feed = fate.candidate, fate.candidate.media, fate.candidate.feed
            if media is not None and ("media", media.sha256) not in told and not self.supply.has_media(media.sha256):
                what = "is not in the store: poles that do not hold it will miss it; add the recording again"
                told["media", media.sha256] = f"{item.title}: the file {media.sha256[:16]} {what}"
            elif feed is not None and feed not in self.site.feeds:
                told["feed", feed] = f"{item.title}: the station {feed!r} is not configured any more; it stays silent"
            elif feed is not None and feed in self.supply.troubles:
                told["feed", feed] = (
                    f"{item.title}: the station {feed!r} is in trouble now: {self.supply.troubles[feed]}"
                )
            if len(told) == DOUBTS_MAX:
                break
        return list(told.values())

    def _unsigned(self, area: str, compiled: Compiled, begins_ms: SharedMs) -> Plan:
        """As it would be signed, for the dry run only."""
        return Plan(
            id=f"draft.{area}",
            issuer=self.site.controller,
            audience=area_audience(area),
            counter=0,
            not_before_ms=begins_ms,
            expires_at_ms=compiled.covers_until_ms,
            broadcast_class=compiled.broadcast_class,
            area=area,
            covers_from_ms=begins_ms,
            covers_until_ms=compiled.covers_until_ms,
            occurrences=compiled.occurrences,
        )

    def _shadowed(self, draft: Draft) -> list[str]:
        own = {programme.id for programme in self.site.own}
        return [
            f"{name}: stands in the configuration; a draft of the same id changes nothing"
            for name in draft.programmes
            if name in own
        ]

    def _missing(self, pole: Pole, plans: Mapping[str, Plan]) -> list[str]:
        return [
            f"{area}: no plan stands yet; it is compiled when its sources are prepared"
            for area in pole.areas
            if area not in plans
        ]

    def _short(self, run: DryRun) -> list[str]:
        if run.known_until_ms is None or run.known_until_ms >= run.until_ms:
            return []
        return ["the plans end before the asked time; they are renewed each day"]

    def _view(self, pole: Pole, run: DryRun, plans: tuple[PlanStanding, ...], warnings: list[str]) -> PolePlanView:
        return PolePlanView(
            pole=pole.node,
            title=self.site.nodes[pole.node].title,
            areas=pole.areas,
            time_zone=self.site.time_zone,
            from_ms=run.from_ms,
            until_ms=run.until_ms,
            known_until_ms=run.known_until_ms,
            plans=plans,
            items=items_of(run),
            warnings=tuple(warnings),
        )


def troubles_of(relays: Iterable[RelayView]) -> dict[str, str]:
    """The stations that are being relayed and give no sound just now, and why."""
    return {each.feed: each.reason or each.state.value for each in relays if each.state is RelayState.TROUBLED}


def _require_days(days: int, most: int) -> None:
    if not 0 < days <= most:
        raise RequestError(RequestCode.BAD_REQUEST, f"days={days}: write 1 to {most}")


def _standing(plan: Plan) -> PlanStanding:
    return PlanStanding(
        area=plan.area,
        counter=plan.counter,
        covers_until_ms=plan.covers_until_ms,
        size_bytes=0 if plan.body is None else plan.body.size_bytes,
    )


def _drafted(area: str, compiled: Compiled) -> PlanStanding:
    return PlanStanding(
        area=area,
        counter=None,
        covers_until_ms=compiled.covers_until_ms,
        is_cut=compiled.is_cut,
        size_bytes=len(compiled.content),
    )


def _from(fate: Fate, from_ms: int) -> Fate:
    """What becomes of an item from an instant on; what it lost to before may be over and told no more."""
    return Fate(
        candidate=fate.candidate,
        sounds=[span for span in fate.sounds if span.until_ms > from_ms],
        losses=[loss for loss in fate.losses if loss.span.until_ms > from_ms],
        refusals=[each for each in fate.refusals if each.span.until_ms > from_ms],
    )


def _until(run: DryRun, until_ms: int) -> DryRun:
    """What begins before an instant, and how it sounds until then."""
    return replace(run, fates=tuple(fate for fate in run.fates if fate.candidate.starts_at_ms < until_ms))
