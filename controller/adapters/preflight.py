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
from controller.adapters.speech import EspeakVoice
from controller.configuration.config import Config
from controller.configuration.site import site_of
from controller.errors import ConfigError, SigningError, SpeechError
from controller.nodes.time_service import time_signer
from controller.programmes.sources import TextSource
from controller.programmes.speech import utterance_of
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
    yield from _speech_faults(config)
    if config.time_service.enabled:
        authority = load_authority(config.trust)
        try:
            time_signer(authority.signers, authority.scopes, read_now().shared_ms)
        except SigningError as error:
            yield str(error)


def _speech_faults(config: Config) -> Iterator[str]:
    """Why texts of the configuration's programmes cannot be spoken; no reason to be without a controller."""
    texts = {each.key: each for each in site_of(config).sources if isinstance(each, TextSource)}
    if not texts:
        return
    try:
        languages = EspeakVoice(config.speech.command).languages()
    except SpeechError as error:
        yield f"speech.command: {error}"
        return
    for each in texts.values():
        try:
            utterance_of(each.text, language=each.language, config=config.speech, languages=languages)
        except SpeechError as error:
            yield f"programmes: the text {each.text[:40]!r}: {error}"


def _client_certificate(config: Config) -> Iterator[str]:
    trust = config.trust
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(trust.certificate, trust.private_key)
    except (OSError, ssl.SSLError) as error:
        yield f"trust: {trust.certificate} with {trust.private_key} cannot be used: {error}"
