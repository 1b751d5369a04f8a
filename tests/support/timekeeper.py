"""The product's own time service on a real broker, right or wrong as a test wants it, and a keyring to judge it by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from controller.adapters.time_link import TimeLink
from controller.configuration.config import BrokerConfig, TrustConfig
from controller.nodes.time_service import TimeService
from protocol.adapters.system_clock import read_now
from protocol.envelope import Signer
from protocol.units import NS_PER_S, Now, SharedNs
from tests.support.pki import CONTROLLER, DevelopmentKeys

HOUR_NS = 3_600 * NS_PER_S
REQUESTS_A_MINUTE_MAX = 600


class Timekeeper:
    """Answers with this machine's clock, `shift_ns` ahead."""

    def __init__(self, pki: DevelopmentKeys, services_port: int, *, signer: Signer | None, shift_ns: int) -> None:
        self.shift_ns = shift_ns
        self.service = TimeService(
            signer=signer or pki.signer("operations-1"), requests_a_minute_max=REQUESTS_A_MINUTE_MAX
        )
        files = {"ca": "ca.pem", "certificate": "controller.pem", "private_key": "controller.key"}
        paths = {field: str(pki.folder / name) for field, name in files.items()}
        trust = TrustConfig(**paths, keyset="unused", root_keys="unused", signing_keys=())
        self.link = TimeLink(
            controller=CONTROLLER,
            broker=BrokerConfig(port=services_port),
            trust=trust,
            service=self.service,
            read_clock=self.read_clock,
        )

    def read_clock(self) -> Now:
        """What it takes for the time."""
        now = read_now()
        return replace(now, shared_ns=SharedNs(now.shared_ns + self.shift_ns))


@contextmanager
def telling_time(
    pki: DevelopmentKeys, services_port: int, *, signer: Signer | None = None, shift_ns: int = 0
) -> Iterator[Timekeeper]:
    """A time service that runs; `signer` in the place of the genuine one."""
    keeper = Timekeeper(pki, services_port, signer=signer, shift_ns=shift_ns)
    keeper.link.start()
    try:
        yield keeper
    finally:
        keeper.link.stop()
