"""The desk of programmes and bulletins: who writes what, what is kept, and what the planner is told of it.

Joins the rules (`programmes.versions`, `bulletin`, `fitting`) with their tables. Rules kept: one change after another:
the planner hears of them in the order in which they are kept; what is told is durable, its act in the audit log with
it; what would change nothing makes no version and no act. Who may do what was settled before.
"""

from __future__ import annotations

import asyncio
import zoneinfo
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Generic

from controller.adapters.database import SqlDatabase
from controller.adapters.programme_store import BulletinStore, VersionStore, programme_store
from controller.configuration.site import Site
from controller.errors import RequestCode, RequestError
from controller.people.audit import Act, Actor, act_of
from controller.programmes.bulletin import (
    Bulletin,
    BulletinState,
    Decision,
    Draft,
    Verdict,
    airing_number,
    decided,
    state_of,
)
from controller.programmes.fitting import (
    AREA_PROGRAMMES_MAX,
    PAPERS_MAX,
    Recorded,
    require_bulletin,
    require_programme,
    require_same_area,
)
from controller.programmes.load import AREA_ITEMS_A_DAY_MAX, items_a_day_max
from controller.programmes.programme import Programme, local_end_of
from controller.programmes.sources import items_of
from controller.programmes.versions import Change, PaperT, Version, added, edited, removed, restored, unknown

Tell = Callable[[Mapping[str, Programme | None], Mapping[str, Bulletin | None]], None]
"""Programmes and bulletins that are otherwise now; None is gone, or must not sound."""
_DEEDS: Final = {
    Change.ADDED: "add",
    Change.EDITED: "edit",
    Change.REMOVED: "remove",
    Change.RESTORED: "undo",
    Change.IMPORTED: "import",
}
_VERDICTS: Final = {Verdict.APPROVED: "approve", Verdict.REFUSED: "refuse", Verdict.TAKEN_BACK: "take_back"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BulletinFile:
    """A bulletin with all that is known of it: its versions, the oldest first, and what was decided."""

    versions: Sequence[Version[Bulletin]]
    decisions: Sequence[Decision]

    @property
    def state(self) -> BulletinState:
        """Of the latest version."""
        return state_of(self._drafts, self.decisions)

    @property
    def airing(self) -> int | None:
        """The number of the version that may sound."""
        return airing_number(self._drafts, self.decisions)

    @property
    def _drafts(self) -> list[Draft]:
        return drafts_of(self.versions)


class PaperDesk(ABC, Generic[PaperT]):
    """What both kinds have in common: versions are made, kept and told, one after another."""

    _kind: ClassVar[str]

    def __init__(
        self,
        database: SqlDatabase,
        *,
        site: Callable[[], Site],
        tell: Tell,
        is_recorded: Recorded,
        clock: Callable[[], int],
    ) -> None:
        self.store: Final[VersionStore[PaperT]] = self._store_of(database)
        self._bulletins = BulletinStore(database)
        self._site = site
        self._tell_planner = tell
        self._is_recorded = is_recorded
        self._clock = clock
        self._turn = asyncio.Lock()

    async def add(self, paper: PaperT, *, by: Actor) -> Version[PaperT]:
        """Write a new one; raises RequestError, DatabaseError."""
        async with self._turn:
            made = added(await self.store.head(paper.id), paper, by=by, at_ms=self._clock())
            await self._require(paper, is_new=True)
            await self._keep([made], by)
            return made

    async def edit(self, paper: PaperT, *, read: int, by: Actor) -> tuple[Version[PaperT], bool]:
        """Change what was read as version `read`; whether that made a version. Raises RequestError, DatabaseError."""
        async with self._turn:
            head = await self.store.head(paper.id)
            made = edited(head, paper, read=read, by=by, at_ms=self._clock())
            if made is None or head is None:
                return await self._known(paper.id), False
            require_same_area(head.paper.area, paper.area, paper.id)
            await self._require(paper, is_new=False)
            await self._keep([made], by)
            return made, True

    async def remove(self, name: str, *, read: int, by: Actor) -> Version[PaperT]:
        """Archive it; raises RequestError, DatabaseError."""
        async with self._turn:
            made = removed(await self.store.head(name), name, read=read, by=by, at_ms=self._clock())
            await self._keep([made], by)
            return made

    async def restore(self, name: str, *, to: int | None, by: Actor) -> Version[PaperT]:
        """Bring an earlier version back; raises RequestError, DatabaseError."""
        async with self._turn:
            versions = await self.store.versions(name)
            is_archived = bool(versions) and versions[-1].is_archived
            old = None if to is None else await self.store.version(name, to)
            if old is not None and old not in versions:
                versions.insert(0, old)
            made = restored(versions, name, to=to, by=by, at_ms=self._clock())
            if not made.is_archived:
                await self._require(made.paper, is_new=is_archived)
            await self._keep([made], by)
            return made

    async def take_in(self, papers: Sequence[PaperT], *, by: Actor) -> list[Version[PaperT]]:
        """Keep what came from elsewhere, all or none: new ones, and other versions of those that are known."""
        async with self._turn:
            made: list[Version[PaperT]] = []
            for paper in papers:
                head = await self.store.head(paper.id)
                next_ = _imported(head, paper, by=by, at_ms=self._clock())
                if next_ is not None:
                    if head is not None:
                        require_same_area(head.paper.area, paper.area, paper.id)
                    is_new = head is None or head.is_archived
                    await self._require(paper, is_new=is_new, beside=[each.paper for each in made])
                    made.append(next_)
            await self._keep(made, by)
            return made

    async def foreseen(self, papers: Sequence[PaperT]) -> list[Change | None]:
        """What taking these in would change, each; nothing is kept."""
        made = []
        for paper in papers:
            next_ = _imported(await self.store.head(paper.id), paper, by=Actor(who=""), at_ms=0)
            made.append(None if next_ is None else Change.ADDED if next_.number == 1 else Change.EDITED)
        return made

    async def _known(self, name: str) -> Version[PaperT]:
        head = await self.store.head(name)
        if head is None:
            raise unknown(name)
        return head

    async def _keep(self, made: Sequence[Version[PaperT]], by: Actor) -> None:
        if not made:
            return
        acts = [self._act(version, by) for version in made]
        await self.store.keep([(version, self._ends_at_ms(version.paper)) for version in made], acts)
        await self._tell(made)

    def _act(self, version: Version[PaperT], by: Actor) -> Act:
        back = f", as version {version.restores}" if version.restores else ""
        return act_of(
            f"{self._kind}_{_DEEDS[version.change]}",
            by=by,
            at_ms=version.at_ms,
            place=version.paper.area,
            detail=f"{version.paper.id} version {version.number}{back}: {version.paper.title}",
        )

    @staticmethod
    @abstractmethod
    def _store_of(database: SqlDatabase) -> VersionStore[PaperT]:
        """Where this kind is kept."""

    @abstractmethod
    async def _require(self, paper: PaperT, *, is_new: bool, beside: Sequence[PaperT] = ()) -> None:
        """Raise RequestError where it does not fit, `beside` those that come with it."""

    @abstractmethod
    async def _tell(self, made: Sequence[Version[PaperT]]) -> None:
        """Say what is otherwise now."""

    def _ends_at_ms(self, paper: PaperT) -> int | None:
        return _end_ms(paper.valid_until, self._site().time_zone)


class ProgrammeDesk(PaperDesk[Programme]):
    """Programmes of the database."""

    _kind = "programme"

    @staticmethod
    def _store_of(database: SqlDatabase) -> VersionStore[Programme]:
        return programme_store(database)

    async def check(self, programme: Programme) -> None:
        """Raise RequestError where it does not fit the place that it is for."""
        named = {item.bulletin for item in items_of(programme) if item.bulletin is not None}
        heads = [await self._bulletins.head(name) for name in sorted(named)]
        known = {head.paper.id: head.paper for head in heads if head is not None}
        require_programme(programme, site=self._site(), bulletins=known, is_recorded=self._is_recorded)

    async def check_import(self, programme: Programme) -> None:
        """The same for what comes from elsewhere and may stand here already."""
        head = await self.store.head(programme.id)
        if head is not None:
            require_same_area(head.paper.area, programme.area, programme.id)
        await self.check(programme)

    async def _require(self, paper: Programme, *, is_new: bool, beside: Sequence[Programme] = ()) -> None:
        await self.check(paper)
        site = self._site()
        others = {each.id: each for each in (*site.programmes_of(paper.area), *beside) if each.id != paper.id}
        standing = len(others)
        if is_new and (standing >= AREA_PROGRAMMES_MAX or await self.store.count() + len(beside) >= PAPERS_MAX):
            what = f"{paper.area} đã có {standing} chương trình / has {standing} programmes: remove some first"
            raise RequestError(RequestCode.TOO_MANY, what)
        items = sum(items_a_day_max(each, time_zone=site.time_zone) for each in (paper, *others.values()))
        if items > AREA_ITEMS_A_DAY_MAX:
            what = f"{paper.area}: tới {items} mục một ngày / up to {items} items a day; at most {AREA_ITEMS_A_DAY_MAX}"
            raise RequestError(RequestCode.TOO_MANY, what)

    async def _tell(self, made: Sequence[Version[Programme]]) -> None:
        self._tell_planner({each.paper.id: None if each.is_archived else each.paper for each in made}, {})


class BulletinDesk(PaperDesk[Bulletin]):
    """Bulletins, and what others than their authors decide on them."""

    _kind = "bulletin"

    @staticmethod
    def _store_of(database: SqlDatabase) -> VersionStore[Bulletin]:
        return BulletinStore(database)

    async def file(self, name: str) -> BulletinFile:
        """Everything that is known of one; raises RequestError where there is none."""
        versions = await self.store.versions(name)
        if not versions:
            raise unknown(name)
        return BulletinFile(versions=versions, decisions=(await self._bulletins.decisions([name])).get(name, []))

    async def files(self, heads: Sequence[Version[Bulletin]]) -> list[BulletinFile]:
        """The same for the latest versions of a list."""
        names = [head.paper.id for head in heads]
        histories, decisions = await self.store.histories(names), await self._bulletins.decisions(names)
        return [BulletinFile(versions=histories[name], decisions=decisions.get(name, [])) for name in names]

    async def decide(self, name: str, *, read: int, is_approved: bool, reason: str, by: Actor) -> BulletinFile:
        """Approve or refuse the version that was read; raises RequestError, DatabaseError."""
        async with self._turn:
            known = await self.file(name)
            made = decided(
                drafts_of(known.versions),
                known.decisions,
                read=read,
                is_approved=is_approved,
                reason=reason,
                by=by,
                at_ms=self._clock(),
            )
            paper = known.versions[-1].paper
            what = f"bulletin_{_VERDICTS[made.verdict]}"
            told = f"{name} version {made.number}: {made.reason or paper.title}"
            act = act_of(what, by=by, at_ms=made.at_ms, place=paper.area, detail=told)
            await self._bulletins.decide(name, made, [act])
            await self._tell(known.versions[-1:])
            return await self.file(name)

    async def airing(self) -> dict[str, Bulletin]:
        """Those that may sound now."""
        decisions = await self._bulletins.decisions()
        standing = await self.store.standing(not_ended_by_ms=self._clock())
        heads = [head for head in standing if head.paper.id in decisions]
        found = {}
        for file in await self.files(heads):
            aired = next((each.paper for each in file.versions if each.number == file.airing), None)
            if aired is not None:
                found[aired.id] = aired
        return found

    async def _airing(self, name: str) -> Bulletin | None:
        known = await self.file(name)
        number = known.airing
        version = await self.store.version(name, number) if number is not None else None
        return version.paper if version is not None else None

    async def _require(self, paper: Bulletin, *, is_new: bool, beside: Sequence[Bulletin] = ()) -> None:
        require_bulletin(paper, site=self._site(), is_recorded=self._is_recorded)
        if is_new and await self.store.count() + len(beside) >= PAPERS_MAX:
            what = f"đã có {PAPERS_MAX} bản tin / there are {PAPERS_MAX} bulletins, archived ones too"
            raise RequestError(RequestCode.TOO_MANY, f"{what}: give the controller another database")

    async def _tell(self, made: Sequence[Version[Bulletin]]) -> None:
        self._tell_planner({}, {each.paper.id: await self._airing(each.paper.id) for each in made})


def drafts_of(versions: Sequence[Version[Bulletin]]) -> list[Draft]:
    """What is decided on."""
    return [
        Draft(number=each.number, who=each.who, is_archived=each.is_archived, restores=each.restores)
        for each in versions
    ]


def _imported(head: Version[PaperT] | None, paper: PaperT, *, by: Actor, at_ms: int) -> Version[PaperT] | None:
    """What an import makes of it: what was archived stands again."""
    if head is None:
        return added(None, paper, by=by, at_ms=at_ms, change=Change.IMPORTED)
    if head.is_archived:
        return Version(number=head.number + 1, at_ms=at_ms, who=by.who, change=Change.IMPORTED, paper=paper)
    return edited(head, paper, read=head.number, by=by, at_ms=at_ms, change=Change.IMPORTED)


def _end_ms(valid_until: str | None, time_zone: str) -> int | None:
    if valid_until is None:
        return None
    return int(local_end_of(valid_until).replace(tzinfo=zoneinfo.ZoneInfo(time_zone)).timestamp() * 1000)
