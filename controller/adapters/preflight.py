"""`check CONFIG`: everything that can be known before the controller runs, without changing anything.

Looks at files, keys, certificates and media sources; does not connect to broker, database or feeds, for their
absence is a state of the world and not a fault of the configuration.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from controller.adapters.endings import endings
from controller.adapters.enrolment_start import load_issuing
from controller.adapters.keys.signing import load_authority
from controller.adapters.media.decoding import first_fault
from controller.config import Config
from controller.errors import ConfigError, SigningError
from controller.site import site_of
from controller.time_service import time_signer
from controller.web.listeners import console_tls, mutual_tls
from protocol.adapters.system_clock import read_now


def faults_found(config: Config) -> Iterator[str]:
    """One sentence for each thing that would not work."""
    try:
        load_authority(config.trust)
    except ConfigError as error:
        yield str(error)
    try:
        mutual_tls(config.http.nodes, config.trust)
    except ConfigError as error:
        yield str(error)
    try:
        console_tls(config.http.console)
    except ConfigError as error:
        yield str(error)
    if config.enrolment is not None:
        try:
            load_issuing(config, config.enrolment)
        except ConfigError as error:
            yield str(error)
    yield from _client_certificate(config)
    for path in site_of(config).media_paths:
        fault = first_fault(Path(path))
        if fault:
            yield f"{path}: {fault}"


def warnings_found(config: Config) -> Iterator[str]:
    """One sentence for each thing that will not be done while all else is; of a configuration without faults."""
    yield from endings(config, read_now().shared_ms)
    if config.time_service.enabled:
        authority = load_authority(config.trust)
        try:
            time_signer(authority.signers, authority.scopes, read_now().shared_ms)
        except SigningError as error:
            yield str(error)


def _client_certificate(config: Config) -> Iterator[str]:
    trust = config.trust
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(trust.certificate, trust.private_key)
    except (OSError, ssl.SSLError) as error:
        yield f"trust: {trust.certificate} with {trust.private_key} cannot be used: {error}"
