"""A simulated controller on a real SQLite file: the same history as without, and it starts from what the file holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.errors import DatabaseError
from protocol.messages import AiringRecord
from simulator.commune import Province, ProvinceSettings
from simulator.runs.runner import perform
from simulator.runs.scenario import load_scenario
from simulator.runs.usual import MEDIA, usual_commune
from simulator.services.controller import ControllerSettings
from simulator.services.real_database import RealDatabase


def test_the_same_scenario_gives_the_same_log_on_the_real_database(tmp_path: Path) -> None:
    name, scenario = load_scenario("bad_hour")
    database = RealDatabase(tmp_path / "controller.sqlite")
    on_sql = perform(name, scenario, seed=3, new_database=lambda: database)
    database.close()
    assert on_sql.verdict.digest == perform(name, scenario, seed=3).verdict.digest
    assert database.commits > 10


def test_a_controller_that_starts_again_knows_what_the_file_knows(tmp_path: Path) -> None:
    database = RealDatabase(tmp_path / "controller.sqlite")
    settings = ProvinceSettings(
        controller=usual_commune(poles=1),
        media=MEDIA,
        controller_machine=ControllerSettings(new_database=lambda: database),
    )
    place = Province(settings, seed=1)
    place.run_for(3_600)
    place.controller.kill()
    for each in (database.documents, database.heads, database.nodes):
        each.clear()
    place.controller.start()
    place.run_for(120)
    assert [node.state for node in place.controller.status().nodes] == ["ready"]
    assert any(isinstance(each.record, AiringRecord) for each in database.reports.values())
    kept = database.load()
    assert {document.topic for document in kept.documents} >= {"loaxa/1/node/N0001/assignment"}
    database.close()


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "controller.sqlite").mkdir()
    with pytest.raises(DatabaseError):
        RealDatabase(tmp_path / "controller.sqlite")
