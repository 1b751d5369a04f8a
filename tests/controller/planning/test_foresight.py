"""What the desk says of a pole: by the plans that stand, and by a draft beside them; and how commands print it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from controller.errors import RequestError
from controller.events import MediaRefused, Woken
from controller.planning.cli import compared, shown
from controller.planning.difference import Change
from controller.planning.dry_run import Verdict, Why
from controller.planning.foresight import Draft, Foresight, Supply, troubles_of
from controller.planning.views import PolePlanView
from controller.planning.words import CHANGES, REASONS, VERDICTS, WHYS
from controller.programmes.programme import Item, Programme, weekly
from controller.records import RelayState
from controller.views import RelayView
from edge.guard import GAIN_DB_MAX
from edge.player.arbiter import Reason
from protocol.house_rules import Forbidden
from protocol.messages import BroadcastClass
from protocol.units import SharedMs
from tests.support.controller_desk import DeskWorld, plain_config
from tests.support.pki import DevelopmentKeys

DAY_MS = 24 * 3600 * 1000
SONG_FILE = "/site/song.mp3"


def begun(pki: DevelopmentKeys, **changes: Any) -> DeskWorld:
    world = DeskWorld(pki, **changes)
    world.begin()
    return world


def foresight(world: DeskWorld) -> Foresight:
    desk = world.desk
    return Foresight(site=desk.site, shelf=desk.shelf, plan_of=desk.plan, now_ms=world.now.shared_ms)


def draft(*programmes: Programme, remove: tuple[str, ...] = ()) -> Draft:
    gone: dict[str, Programme | None] = dict.fromkeys(remove)
    return Draft(programmes=gone | {programme.id: programme for programme in programmes})


def relay(name: str, at: str, *, area: str = "dong", minutes: int = 10, **changes: Any) -> Programme:
    fields: dict[str, Any] = {
        "id": name,
        "title": name,
        "area": area,
        "items": (Item(title=name, feed="vov1", duration_s=minutes * 60),),
        "recurrence": weekly(at),
    }
    return Programme(**{**fields, **changes})


def plain(view: PolePlanView) -> dict[str, Any]:
    """As a command reads it."""
    return msgspec.json.decode(msgspec.json.encode(view))  # type: ignore[no-any-return] # an object


def test_a_poles_week_is_told_by_the_plans_that_stand(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    view = foresight(world).standing("N001", days=7)
    assert view.areas == ("dong", "xa")
    assert [each.area for each in view.plans] == ["dong", "xa"]
    assert len(view.items) == 14
    assert {each.verdict for each in view.items} == {Verdict.SOUNDS}
    assert view.warnings == ()
    song, relayed = view.items[:2]
    assert (song.feed, relayed.feed) == (None, "vov1")
    assert relayed.starts_at_ms == song.ends_at_ms
    assert len(foresight(world).standing("N001", days=1).items) == 2


def test_a_wrong_hour_is_seen_before_it_wakes_anybody(pki: DevelopmentKeys) -> None:
    programme = dict(plain_config(pki)["programmes"][0], at="03:15:00")
    view = foresight(begun(pki, programmes=[programme])).standing("N001", days=7)
    assert {each.verdict for each in view.items} == {Verdict.SILENT}
    assert {refusal.reason for each in view.items for refusal in each.refusals} == {"quiet_hours"}
    said = "\n".join(shown(plain(view)))
    assert "không phát · silent: Chương trình sáng" in said
    assert "bị chặn · refused: giờ yên lặng · quiet hours" in said


def test_a_draft_says_what_it_changes_and_changes_nothing(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    before = foresight(world).standing("N001", days=3)
    news = relay("news", "05:30", area="xa", broadcast_class=BroadcastClass.PRIORITY, minutes=5)
    view = foresight(world).drafted("N001", draft(news), days=3)
    changes = {each.key.rsplit(":", 1)[1].split(".")[0]: each.change for each in view.changes}
    assert changes == {"news": Change.NEW, "morning": Change.OTHERWISE}
    beaten = next(each.after for each in view.changes if each.change is Change.OTHERWISE)
    assert beaten is not None
    assert [loss.why for loss in beaten.losses] == [Why.CLASS]
    assert [each.counter for each in view.plans] == [None, None]
    assert foresight(world).standing("N001", days=3) == before
    said = "\n".join(compared(plain(view)))
    assert "thêm · new:" in said
    assert "loại bản tin cao hơn · a higher class goes first" in said


def test_the_commune_orders_its_priority_items(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    upper = relay("upper", "06:00", area="xa", broadcast_class=BroadcastClass.PRIORITY)
    for before_upper, winner, loser, why in ((False, "upper", "own", Why.LEVEL), (True, "own", "upper", Why.ORDER)):
        own = relay("own", "06:00", broadcast_class=BroadcastClass.PRIORITY, before_upper=before_upper)
        view = foresight(world).drafted("N001", draft(upper, own), days=2)
        losses = {(each.title, loss.to_title, loss.why) for each in view.items for loss in each.losses}
        assert losses == {(loser, winner, why)}
        won = next(each for each in view.items if each.title == winner)
        assert len(won.wins_over) == 1


def test_a_volume_cap_is_told_with_the_hours_it_holds(pki: DevelopmentKeys) -> None:
    """Early items are held down; what a pole plays more softly of itself is not called capped."""
    caps = [{"gain_db_max": -12, "begin": "05:00", "end": "05:32"}]
    areas = [dict(each, **({"volume_caps": caps} if each["id"] == "xa" else {})) for each in plain_config(pki)["areas"]]
    view = foresight(begun(pki, areas=areas)).standing("N001", days=1)
    sounds = [span for item in view.items for span in item.sounds]
    assert {(span.is_capped, span.gain_db) for span in sounds} == {(True, -12.0), (False, 0.0)}
    ends = {span.until_ms for span in sounds if span.is_capped}
    assert len(ends & {span.from_ms for span in sounds if not span.is_capped}) == 1
    said = "\n".join(shown(plain(view)))
    assert "hạn âm lượng · volume capped: 05:30:" in said
    assert "-12.0 dB" in said
    nodes = [dict(each, gain_db=-20) for each in plain_config(pki)["nodes"]]
    softer = foresight(begun(pki, areas=areas, nodes=nodes)).standing("N001", days=1)
    assert {(span.is_capped, span.gain_db) for item in softer.items for span in item.sounds} == {(False, -20.0)}


def test_a_file_that_is_gone_and_a_station_in_trouble_are_told(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    without = replace(foresight(world), supply=Supply(has_media=lambda _: False, troubles={"vov1": "silent"}))
    for view in (without.standing("N001", days=3), without.drafted("N001", draft(), days=3)):
        gone, down = view.warnings
        assert gone.startswith("Chương trình sáng: the file ")
        assert "is not in the store" in gone
        assert down.endswith("the station 'vov1' is in trouble now: silent")
    unknown = replace(without, site=replace(world.desk.site, feeds={}), supply=Supply())
    warnings = unknown.standing("N001", days=3).warnings
    assert [each for each in warnings if "is not configured any more; it stays silent" in each]
    assert [each for each in warnings if "is not configured; it is left out" in each]


def test_a_refused_file_is_told_of_the_plan_that_stands(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    world.post(MediaRefused(path=SONG_FILE, reason="the file is silent"))
    warnings = foresight(world).standing("N001", days=3).warnings
    assert [each for each in warnings if each.endswith(f"{SONG_FILE}: the file is silent")]


def test_no_pole_is_said_to_play_louder_than_it_does(pki: DevelopmentKeys) -> None:
    loud = [dict(each, gain_db=20) for each in plain_config(pki)["nodes"]]
    view = foresight(begun(pki, nodes=loud)).standing("N001", days=1)
    assert {span.gain_db for item in view.items for span in item.sounds} == {GAIN_DB_MAX}


def test_only_a_relay_that_gives_no_sound_is_trouble() -> None:
    views = [
        RelayView(
            stream=f"{number:016x}",
            area="xa",
            area_title="Xã",
            feed=feed,
            title="VOV",
            broadcast_class=BroadcastClass.ROUTINE,
            state=state,
            starts_at_ms=0,
            ends_at_ms=1,
            is_planned=True,
            reason=reason,
        )
        for number, (feed, state, reason) in enumerate(
            (("a", RelayState.TROUBLED, "silent"), ("b", RelayState.ON_AIR, ""), ("c", RelayState.ENDED, "over"))
        )
    ]
    assert troubles_of(views) == {"a": "silent"}


def test_a_programme_that_goes_is_gone(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    view = foresight(world).drafted("N003", draft(remove=("morning",)), days=2)
    assert view.warnings == ("morning: stands in the configuration; a draft of the same id changes nothing",)
    assert view.changes == ()
    assert "không có gì thay đổi · nothing changes on this pole" in list(compared(plain(view)))


def test_what_cannot_be_known_is_said(pki: DevelopmentKeys) -> None:
    world = DeskWorld(pki)
    world.post(Woken())
    view = foresight(world).standing("N001", days=7)
    assert view.items == ()
    assert view.warnings[-1] == "xa: no plan stands yet; it is compiled when its sources are prepared"
    drafted = foresight(world).drafted("N001", draft(), days=2)
    assert any("song.mp3" in warning and "left out" in warning for warning in drafted.warnings)
    world.post(MediaRefused(path=SONG_FILE, reason="song.mp3 is silent"))
    drafted = foresight(world).drafted("N001", draft(), days=2)
    assert any("song.mp3 is silent" in warning for warning in drafted.warnings)
    world = begun(pki)
    drafted = foresight(world).drafted("N001", draft(), days=20)
    assert len({each.starts_at_ms for each in drafted.items if each.feed is None}) == 20
    assert any("is not compared" in warning for warning in drafted.warnings)


@pytest.mark.parametrize(
    ("node", "days", "said"), [("N009", 7, "not known"), ("N001", 0, "1 to 8"), ("N001", 9, "1 to 8")]
)
def test_what_makes_no_sense_is_refused(pki: DevelopmentKeys, node: str, days: int, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        foresight(begun(pki)).standing(node, days=days)


def test_every_name_has_its_words() -> None:
    assert VERDICTS.keys() == set(Verdict)
    assert WHYS.keys() == set(Why)
    assert REASONS.keys() == set(Forbidden) <= set(Reason)
    assert CHANGES.keys() == set(Change)


def test_what_an_item_lost_to_and_is_over_is_told_no_more(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    news = relay("news", "05:31", area="xa", broadcast_class=BroadcastClass.PRIORITY, minutes=2)
    view = foresight(world).drafted("N001", draft(news), days=2)
    assert any(each.losses for each in view.items)
    at_ms = next(each.ends_at_ms for each in view.items if each.title == "news")
    later = replace(foresight(world), now_ms=SharedMs(at_ms + 1)).drafted("N001", draft(news), days=1)
    running = later.items[0]
    assert (running.title, running.losses, running.verdict) == ("VOV1", (), Verdict.SOUNDS)
