"""One stand-in station for all tests of what pulls it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator.demo.station import Station


@pytest.fixture(scope="session")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A real Icecast and HLS; a test that gives a mount a fault takes it back."""
    with Station(tmp_path_factory.mktemp("station")) as running:
        yield running
