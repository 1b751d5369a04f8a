"""The signer's configuration: one YAML of its own, in a file that the controller cannot write.

What stands here is the signer's own judgement of each request (`signing_policy`); it is written by the same people as
the keyset, and best says less.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from controller.errors import ConfigError
from controller.keys.key_config import SigningKeyConfig, at_folder
from controller.keys.scopes import SIGNABLE_TYPES
from protocol.configuration import SettingsError, parse_settings
from protocol.identity import AreaId
from protocol.messages import BroadcastClass, KeyScope, OperationalKey, Reality, ScopeArea

_NEVER_MS = 253_402_214_399_999


class SignerKeyConfig(SigningKeyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key, and what it is for here."""

    areas: Annotated[tuple[ScopeArea, ...], Meta(min_length=1, max_length=64)]
    classes: Annotated[tuple[BroadcastClass, ...], Meta(min_length=1, max_length=3)]
    realities: Annotated[tuple[Reality, ...], Meta(min_length=1, max_length=2)]
    document_types: Annotated[tuple[str, ...], Meta(min_length=1, max_length=16)]


class SignerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that one signer process is told.

    `clients` are the users who may ask; `area_parents` says which area lies in which, for scopes that name
    an upper one.
    """

    socket: Annotated[str, Meta(min_length=1)]
    log_dir: Annotated[str, Meta(min_length=1)]
    keys: Annotated[tuple[SignerKeyConfig, ...], Meta(min_length=1, max_length=16)]
    clients: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=32)], ...], Meta(max_length=8)] = ()
    area_parents: Annotated[dict[AreaId, AreaId], Meta(max_length=20_000)] = msgspec.field(default_factory=dict)
    emergencies_per_hour: Annotated[int, Meta(ge=1, le=1_000)] = 30
    log_bytes_max: Annotated[int, Meta(ge=64 * 1024, le=1024**3)] = 16 * 1024**2
    log_files_max: Annotated[int, Meta(ge=2, le=1_000)] = 20


def parse_signer_config(text: str, *, name: str, folder: Path) -> SignerConfig:
    """The configuration with absolute paths; raises ConfigError."""
    try:
        config = parse_settings(text, SignerConfig, name=name)
    except SettingsError as error:
        raise ConfigError(str(error)) from error
    ids = [key.key_id for key in config.keys]
    for key in config.keys:
        if ids.count(key.key_id) > 1:
            raise ConfigError(f"{name}: keys: {key.key_id} stands twice")
        unknown = sorted(set(key.document_types) - set(SIGNABLE_TYPES))
        if unknown:
            raise ConfigError(f"{name}: keys.{key.key_id}: {', '.join(unknown)}; types: {', '.join(SIGNABLE_TYPES)}")
        if key.signer:
            raise ConfigError(f"{name}: keys.{key.key_id}: a signer cannot ask another signer; give path or credential")
    return msgspec.structs.replace(
        config,
        socket=str(folder / config.socket),
        log_dir=str(folder / config.log_dir),
        keys=tuple(at_folder(key, folder) for key in config.keys),
    )


def scope_of(key: SignerKeyConfig, public_key: bytes) -> OperationalKey:
    """A key as the policy judges by it; its time is the keyset's business."""
    return OperationalKey(
        key_id=key.key_id,
        public_key=public_key,
        scope=KeyScope(
            document_types=key.document_types, areas=key.areas, classes=key.classes, realities=key.realities
        ),
        not_before_ms=0,
        expires_at_ms=_NEVER_MS,
    )
