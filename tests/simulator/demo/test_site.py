"""The demo's files are what the products accept, and a second preparation keeps what took long."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from controller.configuration.parsing import parse_config as parse_controller
from edge.config import parse_config as parse_edge
from protocol.units import NS_PER_S, SharedNs
from simulator.demo.site import (
    COMMUNE,
    NODES,
    SOUND_DEVICE,
    DemoSite,
    PlannedPlaylist,
    free_ports,
    next_whole_second,
    prepare_folder,
    write_site,
)

DUE_NS = SharedNs(1_795_312_799 * NS_PER_S)
"""2026-11-22 08:59:59 in Vietnam, a Sunday."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> DemoSite:
    made = DemoSite(folder=tmp_path_factory.mktemp("a commune"), ports=free_ports())
    prepare_folder(made)
    write_site(made, feeds={"icecast": "http://127.0.0.1:1/mp3"}, playlists=[PlannedPlaylist(at_ns=DUE_NS)])
    return made


def test_the_controller_accepts_its_configuration(site: DemoSite) -> None:
    path = site.controller_configuration
    config = parse_controller(path.read_text(), folder=path.parent, name=path.name)
    assert config.broker.port == site.ports.services
    assert {node.id for node in config.nodes} == {node.name for node in NODES}
    assert all(node.quiet_hours == "none" for node in config.nodes)
    named = [config.trust.ca, config.trust.keyset, *(clip.file for clip in config.clips)]
    named += [str(item.file) for programme in config.programmes for item in programme.items]
    assert all(Path(file).is_file() for file in named)
    assert all(Path(key.path).is_file() for key in config.trust.signing_keys)


def test_a_playlist_is_planned_for_its_local_day_and_second(site: DemoSite) -> None:
    path = site.controller_configuration
    (programme,) = parse_controller(path.read_text(), folder=path.parent, name=path.name).programmes
    assert (programme.area, programme.at, programme.days) == (COMMUNE, "08:59:59", ("sun",))


@pytest.mark.parametrize("node", [node.name for node in NODES])
def test_each_node_accepts_its_configuration_and_hears_its_own_pipe(site: DemoSite, node: str) -> None:
    path = site.node_folder(node) / "edge.yaml"
    config = parse_edge(path.read_text(), folder=path.parent, name=path.name)
    assert config.node == "", "its name comes with its certificate"
    assert config.enrolment.file == str(site.boot_file(node))
    assert config.sound.device == SOUND_DEVICE
    assert config.amplifier.trace == str(site.pin_trace(node))
    assert Path(config.trust.root_keys).is_file()
    assert str(site.fifo(node)) in (path.parent / site.node_environment()["ALSA_CONFIG_PATH"]).read_text()


def test_the_token_is_private(site: DemoSite) -> None:
    assert stat.S_IMODE(site.token_file.stat().st_mode) == 0o600


def test_a_second_preparation_clears_the_last_run_and_keeps_keys_and_clips(site: DemoSite) -> None:
    kept = [site.pki / "ca.key", site.pki / "keyset.cose", site.folder / "clips" / "flood.wav"]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in kept]
    database = site.folder / "controller" / "controller.sqlite"
    database.write_bytes(b"old")
    state = site.node_folder("N001") / "state"
    state.mkdir()
    prepare_folder(site, keep_state=True)
    assert database.exists()
    assert state.exists()
    prepare_folder(site)
    assert not database.exists()
    assert not state.exists()
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in kept] == before


def test_the_next_whole_second_is_never_too_near() -> None:
    assert next_whole_second(10 * NS_PER_S, in_s=2.0) == 12 * NS_PER_S
    assert next_whole_second(10 * NS_PER_S + 1, in_s=2.0) == 13 * NS_PER_S
