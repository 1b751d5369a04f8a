"""The library over its life: uploads in pieces, broken lines, restarts anywhere, removal, undo, and what is shared."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.adapters.media.intakes import SURE_BYTES
from controller.adapters.media.library import MediaLibrary
from controller.errors import RequestCode, RequestError
from controller.media.catalogue import DAY_MS, EntryState, MediaEntry
from controller.media.intake import INTAKES_MAX, INTAKES_OF_ONE_MAX, IntakeState
from controller.media.media_config import MediaConfig
from controller.media.refusal import RefusalCode
from controller.people.audit import Actor
from tests.support.media_library import LibraryWorld, finished, pieces_of, recording
from tests.support.waiting import until

LAN = Actor(who="lan", address="192.0.2.7")


@pytest.fixture
def world(tmp_path: Path) -> LibraryWorld:
    return LibraryWorld(tmp_path)


async def uploaded(library: MediaLibrary, world: LibraryWorld, data: bytes, **more: object) -> MediaEntry:
    intake = await library.intakes.begin(world.intake(data, **more))
    await library.intakes.append(intake.id, 0, pieces_of(data))
    done = await finished(library, intake.id)
    assert done.state is IntakeState.KEPT, done.refusal
    return library.entry(done.entry)


async def test_what_is_uploaded_in_pieces_is_kept_with_its_original(world: LibraryWorld) -> None:
    data = recording(world.folder)
    async with world.running() as library:
        intake = await library.intakes.begin(world.intake(data, licence="của xã"))
        half = len(data) // 2
        told = await library.intakes.append(intake.id, 0, pieces_of(data[:100], data[100:half]))
        assert (told.received_bytes, told.state) == (half, IntakeState.RECEIVING)
        await library.intakes.append(intake.id, half, pieces_of(data[half:]))
        done = await finished(library, intake.id)
        entry = library.entry(done.entry)
        assert done.is_new
        assert (entry.title, entry.area, entry.licence, entry.added_by) == ("Bản tin", "xa", "của xã", "lan")
        assert library.original_path(entry).read_bytes() == data
        assert hashlib.sha256(data).hexdigest() == entry.origin.sha256
        sound = library.sound_path(entry).read_bytes()
        assert hashlib.sha256(sound).hexdigest() == entry.reference.sha256
        assert entry.made.integrated_lufs == pytest.approx(-20.0, abs=0.4)
        assert len(await library.waveform(entry)) == 100
        assert library.reference(entry.reference.sha256) == entry.reference
    async with world.running() as library:
        assert library.entries == (entry,), "it is there after a restart"
        assert library.intakes.intake(intake.id).entry == entry.id, "and so is what came of the upload"


async def test_a_broken_line_keeps_what_came_and_the_sender_goes_on(world: LibraryWorld) -> None:
    data = recording(world.folder)
    async with world.running() as library:
        intake = await library.intakes.begin(world.intake(data))

        async def cut() -> AsyncIterator[bytes]:
            yield data[:1000]
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await library.intakes.append(intake.id, 0, cut())
        assert library.intakes.intake(intake.id).received_bytes == 1000
        for wrong in (0, 999, 1001):
            with pytest.raises(RequestError, match="1000 byte") as refused:
                await library.intakes.append(intake.id, wrong, pieces_of(b"x"))
            assert refused.value.code is RequestCode.CONFLICT
        await library.intakes.append(intake.id, 1000, pieces_of(data[1000:]))
        assert (await finished(library, intake.id)).state is IntakeState.KEPT


async def test_a_restart_cuts_back_to_what_is_sure(world: LibraryWorld) -> None:
    """Bytes that were written and not noted may be torn: they are sent again."""
    data = recording(world.folder)
    async with world.running() as library:
        intake = await library.intakes.begin(world.intake(data, expected_sha256=hashlib.sha256(data).hexdigest()))
        await library.intakes.append(intake.id, 0, pieces_of(data[:5000]))
        part = library.intakes.files.part(intake.id)
    with part.open("ab") as file:
        file.write(b"\0" * 700)
    async with world.running() as library:
        assert part.stat().st_size == 5000
        await library.intakes.append(intake.id, 5000, pieces_of(data[5000:]))
        assert (await finished(library, intake.id)).state is IntakeState.KEPT


async def test_a_lost_part_is_asked_for_again(world: LibraryWorld) -> None:
    data = recording(world.folder)
    async with world.running() as library:
        intake = await library.intakes.begin(world.intake(data))
        await library.intakes.append(intake.id, 0, pieces_of(data[:5000]))
        library.intakes.files.part(intake.id).unlink()
    async with world.running() as library:
        assert library.intakes.intake(intake.id).received_bytes == 0


@pytest.mark.parametrize("where", ["waiting", "working", "original moved"])
async def test_a_restart_while_it_is_judged_repeats_and_loses_nothing(world: LibraryWorld, where: str) -> None:
    data = recording(world.folder)
    world.importing.may_go_on.clear()
    async with world.running() as library:
        intake = await library.intakes.begin(world.intake(data))
        await library.intakes.append(intake.id, 0, pieces_of(data))
        if where != "waiting":
            await until(lambda: world.importing.taken)
        note = library.intakes.intake(intake.id)
        files = library.intakes.files
    if where == "original moved":
        files.keep_original(note)
    async with world.running() as library:
        done = await finished(library, intake.id)
        assert done.state is IntakeState.KEPT
        [entry] = library.entries
        assert library.original_path(entry).read_bytes() == data
    assert not list((world.media_dir / "incoming").glob("*.part"))


async def test_a_refusal_says_why_and_leaves_nothing(world: LibraryWorld) -> None:
    async with world.running() as library:
        letter = "Kính gửi bà con".encode() * 100
        intake = await library.intakes.begin(world.intake(letter))
        await library.intakes.append(intake.id, 0, pieces_of(letter))
        done = await finished(library, intake.id)
        assert done.refusal is not None
        assert done.refusal.code is RefusalCode.NOT_AUDIO
        wrong = await library.intakes.begin(world.intake(letter, expected_sha256="0" * 64))
        await library.intakes.append(wrong.id, 0, pieces_of(letter))
        told = (await finished(library, wrong.id)).refusal
        assert told is not None
        assert told.code is RefusalCode.WRONG_CONTENT
        assert not library.entries
    assert {path.suffix for path in world.media_dir.rglob("*") if path.is_file()} == {".json"}


async def test_more_than_was_said_is_refused(world: LibraryWorld) -> None:
    async with world.running() as library:
        intake = await library.intakes.begin(world.intake(b"1234"))
        with pytest.raises(RequestError, match="4 byte"):
            await library.intakes.append(intake.id, 0, pieces_of(b"12345"))
        with pytest.raises(RequestError, match=str(2 * 1024**3)):
            await library.intakes.begin(world.intake(b"", size_bytes=3 * 1024**3))
        cancelled = await library.intakes.cancel(intake.id)
        assert cancelled.state is IntakeState.CANCELLED
        with pytest.raises(RequestError, match="cancelled"):
            await library.intakes.append(intake.id, 0, pieces_of(b"1234"))


async def test_a_full_disk_is_told_before_anything_comes(world: LibraryWorld) -> None:
    world.config = MediaConfig(free_bytes_min=2**60)
    async with world.running() as library:
        with pytest.raises(RequestError, match="byte trống") as refused:
            await library.intakes.begin(world.intake(b"1234"))
        assert refused.value.code is RequestCode.NOT_STORED


async def test_uploads_are_bounded_and_left_ones_forgotten(world: LibraryWorld) -> None:
    async with world.running() as library:
        for number in range(INTAKES_MAX):
            if number == INTAKES_OF_ONE_MAX:
                with pytest.raises(RequestError, match=f"{INTAKES_OF_ONE_MAX} of yours") as refused:
                    await library.intakes.begin(world.intake(b"1234", by="s0"))
                assert refused.value.code is RequestCode.TOO_MANY
            await library.intakes.begin(world.intake(b"1234", by=f"s{number // INTAKES_OF_ONE_MAX}"))
        with pytest.raises(RequestError) as refused:
            await library.intakes.begin(world.intake(b"1234", by="another"))
        assert refused.value.code is RequestCode.TOO_MANY
        world.now_ms += 4 * DAY_MS
        await library.intakes.forget_old()
        assert not library.intakes.all
    assert not list((world.media_dir / "incoming").iterdir())


async def test_a_disk_that_fills_meanwhile_is_left_to_the_database(world: LibraryWorld) -> None:
    async with world.running() as library:
        size = 2 * SURE_BYTES
        intake = await library.intakes.begin(world.intake(b"", size_bytes=size))
        library.reconfigure(MediaConfig(free_bytes_min=2**60))
        with pytest.raises(RequestError, match="byte trống") as refused:
            await library.intakes.append(intake.id, 0, pieces_of(bytes(SURE_BYTES), bytes(SURE_BYTES)))
        assert refused.value.code is RequestCode.NOT_STORED
        library.reconfigure(MediaConfig(free_bytes_min=0))
        assert library.intakes.intake(intake.id).received_bytes == SURE_BYTES, "what came is kept"
        await library.intakes.append(intake.id, SURE_BYTES, pieces_of(bytes(SURE_BYTES)))
        assert (await finished(library, intake.id)).state is IntakeState.REFUSED


async def test_whoever_sends_many_is_judged_in_turn_with_the_others(world: LibraryWorld) -> None:
    async with world.running() as library:
        world.importing.may_go_on.clear()
        names: dict[str, str] = {}
        for number, by in enumerate(["many", "many", "many", "one"]):
            world.now_ms += 1
            data = recording(world.folder, seed=number)
            intake = await library.intakes.begin(world.intake(data, by=by))
            names[intake.id] = by
            await library.intakes.append(intake.id, 0, pieces_of(data))
        world.importing.may_go_on.set()
        for name in names:
            assert (await finished(library, name)).state is IntakeState.KEPT
    assert [names[path.stem] for path in world.importing.taken] == ["many", "one", "many", "many"]


async def test_the_same_recording_again_is_the_one_that_is_there(world: LibraryWorld) -> None:
    data = recording(world.folder)
    async with world.running() as library:
        first = await uploaded(library, world, data)
        again = await library.intakes.begin(world.intake(data, title="Tên khác"))
        await library.intakes.append(again.id, 0, pieces_of(data))
        done = await finished(library, again.id)
        assert (done.entry, done.is_new) == (first.id, False)
        other = await uploaded(library, world, data, area="dong")
        assert other.id != first.id
        assert other.reference == first.reference, "another area has an entry of its own, the file is shared"
        assert len(library.entries) == 2


async def test_what_is_needed_stays_and_what_is_removed_can_come_back(world: LibraryWorld) -> None:
    async with world.running() as library:
        entry = await uploaded(library, world, recording(world.folder))
        world.uses[entry.reference.sha256] = ("programme sang (xa)",)
        with pytest.raises(RequestError, match=r"programme sang \(xa\)") as refused:
            await library.remove(entry, by=LAN)
        assert refused.value.code is RequestCode.CONFLICT
        world.uses.clear()
        removed = await library.remove(entry, by=LAN)
        assert (removed.state, library.reference(entry.reference.sha256)) == (EntryState.REMOVED, None)
        world.now_ms += 29 * DAY_MS
        assert await library.sweep() == 0
        assert library.original_path(entry).exists()
        back = await library.restore(library.entry(entry.id), by=LAN)
        assert back.state is EntryState.KEPT
        assert library.reference(entry.reference.sha256) == entry.reference


async def test_files_go_when_it_was_removed_long_ago_and_the_entry_stays(world: LibraryWorld) -> None:
    data = recording(world.folder)
    async with world.running() as library:
        entry = await uploaded(library, world, data)
        await library.remove(entry, by=LAN)
        world.now_ms += 30 * DAY_MS
        assert await library.sweep() == 1
        assert not library.sound_path(entry).exists()
        assert not library.original_path(entry).exists()
        with pytest.raises(RequestError, match="files are gone"):
            await library.restore(library.entry(entry.id), by=LAN)
    async with world.running() as library:
        assert library.entry(entry.reference.sha256).title == "Bản tin", "what a record of its airing names"
        again = await uploaded(library, world, data)
        assert (again.id, again.state) == (entry.id, EntryState.KEPT)
        assert library.sound_path(again).exists()


@pytest.mark.parametrize("who", ["another area", "the site's own files"])
async def test_a_file_that_others_have_stays(world: LibraryWorld, who: str) -> None:
    data = recording(world.folder)
    async with world.running() as library:
        entry = await uploaded(library, world, data)
        if who == "another area":
            await uploaded(library, world, data, area="dong")
        await library.remove(entry, by=LAN)
        if who == "the site's own files":
            world.uses[entry.reference.sha256] = ("clip flood",)
        world.now_ms += 31 * DAY_MS
        await library.sweep()
        assert library.sound_path(entry).exists()
        assert library.original_path(entry).exists() == (who == "another area")


async def test_a_cut_between_file_and_entry_leaves_no_original_behind(world: LibraryWorld) -> None:
    async with world.running() as library:
        library.intakes.files.original("a" * 64).write_bytes(b"nobody's")
    async with world.running() as library:
        assert not library.intakes.files.original("a" * 64).exists()


async def test_what_is_done_is_on_record(world: LibraryWorld) -> None:
    async with world.running() as library:
        entry = await uploaded(library, world, recording(world.folder))
        await library.remove(entry, by=Actor(who="minh"))
        await library.restore(library.entry(entry.id), by=Actor(who="minh"))
    database = await world.database()
    async with database.connection() as connection:
        rows = await connection.exec_driver_sql("SELECT who, what, place, detail FROM audit ORDER BY number")
        found = [tuple(row) for row in rows]
    await database.close()
    assert [(who, what, place, detail.split()[0]) for who, what, place, detail in found] == [
        ("lan", "media", "xa", "added"),
        ("minh", "media", "xa", "removed"),
        ("minh", "media", "xa", "restored"),
    ]


async def test_another_configuration_holds_from_the_next_recording_on(world: LibraryWorld) -> None:
    async with world.running() as library:
        library.reconfigure(MediaConfig(free_bytes_min=0, loudness_lufs=-26.0))
        entry = await uploaded(library, world, recording(world.folder))
        assert entry.made.integrated_lufs == pytest.approx(-26.0, abs=0.4)


async def test_what_is_given_up_while_it_comes_stays_given_up(world: LibraryWorld) -> None:
    data = recording(world.folder)
    async with world.running() as library:
        intake = await library.intakes.begin(world.intake(data))
        held = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield data[:10]
            await held.wait()
            yield data[10:]

        sending = asyncio.create_task(library.intakes.append(intake.id, 0, slow()))
        await until(lambda: library.intakes.intake(intake.id).received_bytes == 10)
        await library.intakes.cancel(intake.id)
        held.set()
        with pytest.raises(RequestError, match="cancelled"):
            await sending
        assert library.intakes.intake(intake.id).state is IntakeState.CANCELLED


async def test_two_pieces_at_once_are_not_mixed(world: LibraryWorld) -> None:
    data = recording(world.folder)
    async with world.running() as library:
        intake = await library.intakes.begin(world.intake(data))
        held = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield data[:10]
            await held.wait()

        first = asyncio.create_task(library.intakes.append(intake.id, 0, slow()))
        await until(lambda: library.intakes.intake(intake.id).received_bytes == 10)
        with pytest.raises(RequestError, match="another piece"):
            await library.intakes.append(intake.id, 10, pieces_of(data[10:]))
        held.set()
        assert (await first).received_bytes == 10
