"""Recordings on their way: uploads that come in pieces, pulls, and the one worker that judges what is whole.

Decides nothing of its own: states are `controller.media.intake`'s, files `IncomingFiles`', outcomes the import's. Rules
kept: a note is durable before its state is told; bytes are durable before a sender is told how many arrived; one piece
of an upload is written at a time; a restart in the middle goes on where the notes stand.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

from msgspec.structs import replace

from controller.adapters.media.incoming import IncomingFiles
from controller.adapters.media.pull import RETRY_S as PULL_RETRY_S
from controller.adapters.media.pull import Puller, PullRefusedError, PullState
from controller.adapters.media_import import (
    SOURCE_BYTES_MAX,
    Imported,
    ImportSettings,
    OnProgress,
    import_settings,
)
from controller.errors import ControllerError, DatabaseError, MediaError, RequestCode, RequestError
from controller.media.addresses import ForbiddenAddressError, PullRules
from controller.media.catalogue import OriginKind
from controller.media.intake import (
    FINISHED_KEPT_MAX,
    INTAKES_MAX,
    INTAKES_OF_ONE_MAX,
    Intake,
    IntakeState,
    is_stale,
    moved,
    next_of,
    remaining_of,
    require_offset,
)
from controller.media.media_config import MediaConfig
from controller.media.refusal import Refusal, RefusalCode, refusal

log = logging.getLogger("controller.media")

PULLS_MAX: Final = 2
"""At a time, of one sender only one; a site's line to the Internet is also its poles'."""
SURE_BYTES: Final = 4 * 1024 * 1024
"""So much of a piece at most is lost when the power fails."""
RETRY_S: Final = 10.0
"""How soon what the database did not take is tried again."""
LOOK_S: Final = 600.0
"""How often intakes that were left are looked for."""
Keep = Callable[[Intake, Imported], Awaitable[tuple[str, bool]]]


class Importing(Protocol):
    """What takes a recording in; called in a thread."""

    def take_in(self, source: Path, on_progress: OnProgress | None = None) -> Imported:
        """Raises MediaError."""

    def use_settings(self, settings: ImportSettings) -> None:
        """From the next recording on."""

    def close(self) -> None:
        """End what is under way."""


class Intakes:
    """All of one library's."""

    def __init__(
        self,
        *,
        media_dir: Path,
        importing: Importing,
        config: MediaConfig,
        clock: Callable[[], int],
        keep: Keep,
        retry_s: float = PULL_RETRY_S,
    ) -> None:
        self.files = IncomingFiles(media_dir)
        self._importing = importing
        self.working = asyncio.Lock()
        """Held while a recording is judged and entered: no file is removed meanwhile."""
        self._puller = Puller(PullRules(config.pull_hosts), bytes_max=SOURCE_BYTES_MAX, retry_s=retry_s)
        self._config = config
        self._clock = clock
        self._keep = keep
        self._intakes: dict[str, Intake] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        """One for each that waits; whose turn it is says `next_of`."""
        self._served: dict[str, int] = {}
        self._pulling: dict[str, asyncio.Task[None]] = {}
        self._pulls = asyncio.Semaphore(PULLS_MAX)
        self._own_pull: dict[str, asyncio.Lock] = {}

    async def open(self) -> None:
        """Take up what was on its way; raises OSError."""
        for intake in await asyncio.to_thread(self.files.open):
            self._intakes[intake.id] = intake
            if intake.state is IntakeState.WORKING:
                self._intakes[intake.id] = moved(intake, "interrupt", at_ms=self._clock())
            if intake.state in {IntakeState.WORKING, IntakeState.WAITING}:
                self._waiting.put_nowait(intake.id)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work until left."""
        tasks = [asyncio.create_task(self._work(), name="media intake"), asyncio.create_task(self._look_for_ever())]
        for intake in list(self._intakes.values()):
            if intake.state is IntakeState.RECEIVING and intake.kind is OriginKind.PULL:
                self._begin_pull(intake)
        try:
            yield
        finally:
            self._importing.close()
            tasks += self._pulling.values()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def reconfigure(self, config: MediaConfig) -> None:
        """From the next recording on."""
        self._config = config
        self._importing.use_settings(import_settings(config))
        self._puller.use_rules(PullRules(config.pull_hosts))

    @property
    def all(self) -> tuple[Intake, ...]:
        """The latest first."""
        return tuple(sorted(self._intakes.values(), key=lambda each: each.begun_at_ms, reverse=True))

    def intake(self, name: str) -> Intake:
        """One by its id; raises RequestError."""
        found = self._intakes.get(name)
        if found is None:
            what = f"không có lần gửi {name[:32]!r} · nothing of this name is on its way: {name[:32]!r}; begin again"
            raise RequestError(RequestCode.NOT_FOUND, what)
        return found

    async def begin(self, intake: Intake) -> Intake:
        """A new upload or pull, under an id that nobody can guess; raises RequestError."""
        unfinished = [each for each in self._intakes.values() if not each.is_finished]
        own = sum(each.by == intake.by for each in unfinished)
        if len(unfinished) >= INTAKES_MAX or own >= INTAKES_OF_ONE_MAX:
            many = len(unfinished)
            what = f"đang có {many} bản thu được gửi · {many} recordings are on their way, {own} of yours; wait"
            raise RequestError(RequestCode.TOO_MANY, what)
        self._require_room(intake.size_bytes)
        if intake.kind is OriginKind.PULL:
            try:
                PullRules(self._config.pull_hosts).checked(intake.name)
            except ForbiddenAddressError as error:
                why = refusal(RefusalCode.ADDRESS_FORBIDDEN, found=error)
                raise RequestError(RequestCode.BAD_REQUEST, str(why)) from error
        made = replace(intake, id=secrets.token_hex(8))
        await self._note(made)
        if made.kind is OriginKind.PULL:
            self._begin_pull(made)
        return made

    async def append(self, name: str, offset: int, pieces: AsyncIterator[bytes]) -> Intake:
        """The next bytes of an upload; what came before a broken line is kept. Raises RequestError."""
        lock = self._locks.setdefault(name, asyncio.Lock())
        if lock.locked():
            what = "một phần khác đang được gửi · another piece of it is being written; ask how far it is, then go on"
            raise RequestError(RequestCode.CONFLICT, what)
        async with lock:
            intake = self.intake(name)
            require_offset(intake, offset)
            try:
                intake = await self._gather(intake, pieces)
            finally:
                await self._note(self.intake(name), make_sure=True)
            if intake.received_bytes == intake.size_bytes:
                intake = await self._whole(intake)
            return intake

    async def cancel(self, name: str) -> Intake:
        """Forget an upload or a pull that is still coming; raises RequestError."""
        intake = moved(self.intake(name), "cancel", at_ms=self._clock())
        pulling = self._pulling.pop(name, None)
        if pulling is not None:
            pulling.cancel()
            await asyncio.gather(pulling, return_exceptions=True)
        await self._note(intake)
        await asyncio.to_thread(self.files.forget, name, with_note=False)
        return intake

    def _require_room(self, size_bytes: int) -> None:
        if size_bytes > SOURCE_BYTES_MAX:
            why = refusal(RefusalCode.TOO_LARGE, found=size_bytes, limit=SOURCE_BYTES_MAX)
            raise RequestError(RequestCode.BAD_REQUEST, str(why))
        needed = size_bytes + remaining_of(self._intakes.values()) + self._config.free_bytes_min
        free = self.files.free_bytes()
        if free < needed:
            why = refusal(RefusalCode.DISK_FULL, found=free, limit=needed)
            raise RequestError(RequestCode.NOT_STORED, str(why))

    async def _gather(self, intake: Intake, pieces: AsyncIterator[bytes]) -> Intake:
        unsure = 0
        async for piece in pieces:
            require_offset(self.intake(intake.id), intake.received_bytes)  # it may have been given up meanwhile
            if intake.received_bytes + len(piece) > intake.size_bytes:
                what = f"nhiều hơn {intake.size_bytes} byte đã báo · more came than the {intake.size_bytes} bytes said"
                raise RequestError(RequestCode.BAD_REQUEST, what)
            await self._write(intake.id, piece, intake.received_bytes)
            intake = replace(intake, received_bytes=intake.received_bytes + len(piece), changed_at_ms=self._clock())
            unsure += len(piece)
            if unsure >= SURE_BYTES:
                unsure = 0
                await self._note(intake, make_sure=True)
                self._require_floor()
            self._intakes[intake.id] = intake
        return intake

    def _require_floor(self) -> None:
        """Raise RequestError where the disk has filled meanwhile: what the database needs is left to it."""
        free, least = self.files.free_bytes(), self._config.free_bytes_min
        if free < least:
            raise RequestError(RequestCode.NOT_STORED, str(refusal(RefusalCode.DISK_FULL, found=free, limit=least)))

    async def _write(self, name: str, piece: bytes, at: int) -> None:
        try:
            await asyncio.to_thread(self.files.append, name, piece, at=at)
        except OSError as error:
            why = refusal(RefusalCode.STORE_FAILED, found=error.strerror or error)
            raise RequestError(RequestCode.NOT_STORED, str(why)) from error

    async def _whole(self, intake: Intake) -> Intake:
        intake = moved(intake, "whole", at_ms=self._clock())
        await self._note(intake, make_sure=True)
        self._locks.pop(intake.id, None)
        self._waiting.put_nowait(intake.id)
        return intake

    async def _note(self, intake: Intake, *, make_sure: bool = False) -> None:
        """Write down how far it is; only then it is so."""
        write = self.files.make_sure if make_sure else self.files.write_note
        try:
            await asyncio.to_thread(write, intake)
        except OSError as error:
            why = refusal(RefusalCode.STORE_FAILED, found=error.strerror or error)
            raise RequestError(RequestCode.NOT_STORED, str(why)) from error
        self._intakes[intake.id] = intake

    def _begin_pull(self, intake: Intake) -> None:
        self._pulling[intake.id] = asyncio.create_task(self._pull(intake.id), name=f"pull {intake.id}")

    async def _pull(self, name: str) -> None:
        intake = self.intake(name)
        async with self._own_pull.setdefault(intake.by, asyncio.Lock()), self._pulls:  # a slow source is one's own
            intake = self.intake(name)
            state = PullState(received_bytes=intake.received_bytes, size_bytes=intake.size_bytes, etag=intake.etag)
            unsure = 0

            async def write(piece: bytes, at: int) -> None:
                nonlocal unsure
                if not at:
                    self._require_room(state.size_bytes)
                elif not unsure:
                    self._require_floor()
                await self._write(name, piece, at)
                unsure += len(piece)
                told = replace(
                    self.intake(name), received_bytes=at + len(piece), size_bytes=state.size_bytes, etag=state.etag
                )
                self._intakes[name] = told
                if unsure >= SURE_BYTES:
                    unsure = 0
                    await self._note(told, make_sure=True)

            try:
                await self._puller.pull(intake.name, state, write)
                self._pulling.pop(name, None)
                done = replace(self.intake(name), received_bytes=state.received_bytes, size_bytes=state.received_bytes)
                await self._whole(done)
            except PullRefusedError as error:
                await self._refuse(self.intake(name), error.refusal)
            except RequestError as error:
                await self._refuse(self.intake(name), refusal(RefusalCode.STORE_FAILED, found=error))
            except Exception as error:
                log.exception("the pull %s failed", name)
                await self._refuse(self.intake(name), refusal(RefusalCode.UNREACHABLE, found=type(error).__name__))

    async def _work(self) -> None:
        while True:
            await self._waiting.get()
            intake = next_of(self._intakes.values(), self._served)
            if intake is None:  # it was given another's turn
                continue
            self._served[intake.by] = max(self._served.values(), default=0) + 1
            async with self.working:
                try:
                    await self._judge(intake)
                except Exception:
                    log.exception("the recording %s is left for the next start", intake.id)
            known = {each.by for each in self._intakes.values()}
            self._served = {by: turn for by, turn in self._served.items() if by in known}

    async def _judge(self, intake: Intake) -> None:
        part = self.files.part(intake.id)
        source = part if part.exists() else self.files.original(intake.source_sha256 or intake.id)
        try:
            digest = await asyncio.to_thread(self.files.digest, source)
        except OSError as error:
            await self._refuse(intake, refusal(RefusalCode.UNREADABLE, found=error.strerror or error))
            return
        if intake.expected_sha256 and digest != intake.expected_sha256:
            await self._refuse(intake, refusal(RefusalCode.WRONG_CONTENT, found=digest))
            return
        intake = moved(intake, "begin", at_ms=self._clock(), source_sha256=digest)
        await self._note(intake)
        loop = asyncio.get_running_loop()

        def on_progress(measured_ms: int) -> None:
            loop.call_soon_threadsafe(self._progress, intake.id, measured_ms)

        try:
            made = await asyncio.to_thread(self._importing.take_in, source, on_progress)
            await asyncio.to_thread(self.files.keep_original, intake)
            entry, is_new = await self._keep(intake, made)
        except MediaError as error:
            await self._refuse(self.intake(intake.id), error.refusal)
        except DatabaseError as error:
            log.warning("the recording %s waits for the database: %s", intake.id, error)
            await self._note(moved(self.intake(intake.id), "interrupt", at_ms=self._clock()))
            asyncio.get_running_loop().call_later(RETRY_S, self._waiting.put_nowait, intake.id)
        except (ControllerError, OSError) as error:
            await self._refuse(self.intake(intake.id), refusal(RefusalCode.STORE_FAILED, found=error))
        else:
            kept = moved(intake, "keep", at_ms=self._clock(), entry=entry, is_new=is_new)
            await self._note(replace(kept, measured_ms=made.found.duration_ms))

    def _progress(self, name: str, measured_ms: int) -> None:
        intake = self._intakes.get(name)
        if intake is not None and intake.state is IntakeState.WORKING:
            self._intakes[name] = replace(intake, measured_ms=measured_ms)

    async def _refuse(self, intake: Intake, why: Refusal) -> None:
        log.info("refused %s (%s): %s", intake.name, intake.area, why.en)
        self._pulling.pop(intake.id, None)
        await self._note(moved(intake, "refuse", at_ms=self._clock(), refusal=why))
        await asyncio.to_thread(self.files.forget, intake.id, with_note=False)

    async def _look_for_ever(self) -> None:
        while True:
            await self.forget_old()
            await asyncio.sleep(LOOK_S)

    async def forget_old(self) -> None:
        """Forget uploads that were left and outcomes that nobody will ask for."""
        now_ms = self._clock()
        finished = [each for each in self.all if each.is_finished]
        old = {each.id for each in self._intakes.values() if is_stale(each, now_ms)}
        for name in old | {each.id for each in finished[FINISHED_KEPT_MAX:]}:
            self._intakes.pop(name, None)
            self._locks.pop(name, None)
            await asyncio.to_thread(self.files.forget, name, with_note=True)
