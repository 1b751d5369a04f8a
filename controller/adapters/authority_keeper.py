"""Reads keyset, root and signing keys again while the controller runs, and hands them to whoever signs.

Opening sealed keys costs a part of a second of a core; it is done beside the loop, one reading at a time. What cannot
be used changes nothing, and neither does an older keyset: the one in force stays, and the log says why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from controller.adapters.keys.signing import load_authority
from controller.adapters.running_mark import RunningMark
from controller.configuration.config import TrustConfig
from controller.dispatch import Authority
from controller.errors import ConfigError, ControllerError

log = logging.getLogger("controller.signing")

Use = Callable[[Authority], None]


class AuthorityKeeper:
    """The authority in force, and those who are told of another (`uses`)."""

    def __init__(self, authority: Authority, *, mark: RunningMark, uses: tuple[Use, ...]) -> None:
        self._authority = authority
        self._mark = mark
        self._uses: Final = uses
        if not mark.is_held:
            log.warning("another controller has this state_dir; `keys … publish` will not find this one")
        mark.write(keyset=authority.version, root=authority.root_version)

    async def read_again(self, trust: TrustConfig) -> str:
        """Read, and tell everybody; returns why the old ones stay, "" where they do not. One reading at a time."""
        try:
            read = await asyncio.to_thread(load_authority, trust)
            _refuse_older(read, self._authority)
        except ControllerError as error:
            log.error("the keys were not read again, the old ones stay: %s", error)  # noqa: TRY400 - a sentence
            return str(error)
        self._authority = read
        for use in self._uses:
            use(read)
        self._mark.write(keyset=read.version, root=read.root_version)
        return ""


def _refuse_older(new: Authority, old: Authority) -> None:
    if new.root_version < old.root_version:
        raise ConfigError(f"trust.root_chain ends with root {new.root_version}; root {old.root_version} is in force")
    if new.version < old.version or (new.version == old.version and new.keyset != old.keyset):
        raise ConfigError(f"trust.keyset is version {new.version}; {old.version} is in force, and versions only rise")
