"""What ends soon, or is missing, while nothing is wrong yet: keys, keyset, certificates.

Each ending is a day on which poles would fall out of reach or nobody could raise an emergency, and each is known weeks
before. `check` says them, and the running controller writes them into its log at the start and once a day. Renewing is
a person's work (`loaxa-controller keys …`, `enrol ca-create`); a node's own certificate renews itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from controller.configuration.config import Config
from controller.keys.changes import expiring
from controller.keys.scopes import SIGNABLE_TYPES
from protocol.adapters.system_clock import read_now
from protocol.clock_sync import TIME_REPLY
from protocol.codec import cbor_decode
from protocol.envelope import open_cosigned
from protocol.errors import ProtocolError
from protocol.messages import BroadcastClass, Keyset, OperationalKey, Reality

log = logging.getLogger("controller.endings")

SOON: Final = timedelta(days=45)
"""As for keys: time for a ceremony, and for a technician's round."""
LOOK_EVERY_S: Final = 24 * 3600


def endings(config: Config, now_ms: int) -> Iterator[str]:
    """One sentence for each; what cannot be read is told by whoever needs it."""
    keyset = _keyset(config)
    if keyset is not None:
        mine = [key for key in keyset.keys if key.key_id in {each.key_id for each in config.trust.signing_keys}]
        yield from (f"trust.keyset: {line}" for line in expiring(keyset, now_ms))
        yield from _missing([key for key in mine if not key.revoked and key.expires_at_ms > now_ms])
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    for name, path, what_to_do in _certificates(config):
        ends = _end_of(Path(path))
        if ends is not None and ends - now < SOON:
            word = "hết hạn / ended" if ends <= now else "sắp hết hạn / ends"
            yield f"{name}: {word} on {ends:%Y-%m-%d} ({path}); {what_to_do}"


async def tell_endings_daily(config: Config) -> None:
    """Into the log, until cancelled."""
    while True:
        for line in await asyncio.to_thread(lambda: list(endings(config, read_now().shared_ms))):
            log.warning("%s", line)
        await asyncio.sleep(LOOK_EVERY_S)


def _missing(keys: list[OperationalKey]) -> Iterator[str]:
    """What this controller can sign with none of its keys; the time is told of elsewhere."""
    signable = {kind for key in keys for kind in key.scope.document_types}
    missing = sorted(set(SIGNABLE_TYPES) - signable - {TIME_REPLY})
    if missing:
        yield f"trust.signing_keys: no key may sign {', '.join(missing)}; have the root sign a keyset that allows it"
    for reality in Reality:
        if not any(reality in key.scope.realities and BroadcastClass.EMERGENCY in key.scope.classes for key in keys):
            what = "a real emergency" if reality is Reality.REAL else "a drill"
            yield f"trust.signing_keys: no key may raise {what}; add one that the keyset names"


def _certificates(config: Config) -> Iterator[tuple[str, str, str]]:
    """Where a certificate is named, its file, what to do when it ends."""
    renew = "run loaxa-controller enrol ca-create again, broker write, and restart broker and controller"
    yield "trust.certificate", config.trust.certificate, renew
    yield "http.nodes.certificate", config.http.nodes.certificate, renew
    if config.broker.server is not None:
        yield "broker.server.certificate", config.broker.server.certificate, renew
    if config.http.console.certificate is not None:
        yield "http.console.certificate", config.http.console.certificate, "renew it and restart the controller"
    if config.enrolment is not None:
        new = "bring the root's key back: loaxa-controller enrol ca-create --new-issuing"
        yield "enrolment.issuer_certificate", config.enrolment.issuer_certificate, new
    yield "trust.ca", config.trust.ca, "make another root, as docs/operations.md says"


def _end_of(path: Path) -> datetime | None:
    """The first end in a file of certificates."""
    try:
        return min(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError):
        return None


def _keyset(config: Config) -> Keyset | None:
    try:
        return cbor_decode(open_cosigned(Path(config.trust.keyset).read_bytes()).payload, Keyset)
    except (OSError, ProtocolError):
        return None
