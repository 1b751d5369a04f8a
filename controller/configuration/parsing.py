"""From the text of a configuration to a `Config` that is whole, consistent, and has absolute paths only.

`parse_config` takes text and the folder that relative paths start from; it reads nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from controller.configuration.check import faults_of
from controller.configuration.config import Config, HttpConfig
from controller.enrolment.config import with_absolute_paths
from controller.errors import ConfigError
from controller.keys.key_config import at_folder
from controller.programmes.programme import Item
from protocol.configuration import SettingsError, parse_settings

_SQLITE: Final = "sqlite:///"


def parse_config(text: str, *, folder: Path, name: str) -> Config:
    """A whole, consistent configuration with absolute paths; raises ConfigError naming every fault found."""
    try:
        config = parse_settings(text, Config, name=name)
    except SettingsError as error:
        raise ConfigError(str(error)) from error
    faults = faults_of(config)
    if faults:
        raise ConfigError("\n".join(f"{name}: {fault}" for fault in faults))
    return _absolute(config, folder)


def _absolute(config: Config, folder: Path) -> Config:
    def at(path: str) -> str:
        return str(folder / path)

    replace = msgspec.structs.replace
    trust, http = config.trust, config.http
    database = config.database
    if database.startswith(_SQLITE):
        database = _SQLITE + at(database.removeprefix(_SQLITE))
    server = config.broker.server
    if server is not None:
        paths = ("folder", "certificate", "private_key", "ca", "revoked", "pid_file")
        server = replace(server, **{field: at(getattr(server, field)) for field in paths if getattr(server, field)})
    return replace(
        config,
        broker=replace(config.broker, server=server),
        trust=replace(
            trust,
            **{
                field: at(getattr(trust, field))
                for field in ("ca", "certificate", "private_key", "keyset", "root_keys")
            },
            root_chain=trust.root_chain and at(trust.root_chain),
            signing_keys=tuple(at_folder(key, folder) for key in trust.signing_keys),
        ),
        database=database,
        state_dir=at(config.state_dir),
        people=replace(config.people, key_file=config.people.key_file and at(config.people.key_file)),
        audit=replace(config.audit, key_file=config.audit.key_file and at(config.audit.key_file)),
        http=HttpConfig(
            nodes=replace(http.nodes, certificate=at(http.nodes.certificate), private_key=at(http.nodes.private_key)),
            console=replace(
                http.console,
                token_file=at(http.console.token_file),
                certificate=http.console.certificate and at(http.console.certificate),
                private_key=http.console.private_key and at(http.console.private_key),
            ),
            enrolment=http.enrolment,
        ),
        enrolment=with_absolute_paths(config.enrolment, folder),
        clips=tuple(replace(clip, file=at(clip.file)) for clip in config.clips),
        programmes=tuple(
            replace(
                programme,
                items=_items_at(programme.items, folder),
                overrides=tuple(
                    replace(each, items=each.items and _items_at(each.items, folder)) for each in programme.overrides
                ),
            )
            for programme in config.programmes
        ),
    )


def _items_at(items: tuple[Item, ...], folder: Path) -> tuple[Item, ...]:
    """Items with absolute paths."""
    return tuple(msgspec.structs.replace(item, file=str(folder / item.file)) if item.file else item for item in items)
