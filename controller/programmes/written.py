"""Programmes and bulletins as people write them by hand: YAML files, and items on a command line; pure.

A programme file is what the configuration has below `programmes`: `at` and `days`, or `recurrence`. What is written out
can be read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import yaml

from controller.configuration.config import ProgrammeConfig
from controller.errors import ExchangeError
from controller.programmes.bulletin import Bulletin
from controller.programmes.programme import Item, Programme
from protocol.configuration import SettingsError, parse_settings

FILE_CHARACTERS_MAX: Final = 512 * 1024
_KINDS: Final = ("text", "media", "feed", "bulletin")
_ITEM_HELP: Final = "text:WORDS, media:ID, feed:ID:SECONDS or bulletin:ID"


def programme_in(text: str, *, name: str) -> Programme:
    """The programme of a file; raises ExchangeError with where it is wrong."""
    _require_short(text, name)
    try:
        return parse_settings(text, ProgrammeConfig, name=name).written
    except SettingsError as error:
        raise ExchangeError(str(error)) from error
    except ValueError as error:
        raise ExchangeError(f"{name}: {error}") from error


def bulletin_in(text: str, *, name: str) -> Bulletin:
    """The bulletin of a file; raises ExchangeError with where it is wrong."""
    _require_short(text, name)
    try:
        return parse_settings(text, Bulletin, name=name)
    except SettingsError as error:
        raise ExchangeError(str(error)) from error


def written_out(paper: Mapping[str, Any]) -> str:
    """A programme or a bulletin, as the API gives it, as YAML that can be edited and read again."""
    text: str = yaml.dump(dict(paper), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=110)
    return text


def item_of(text: str, *, chime: bool, recording: Callable[[str], str]) -> Item:
    """An item of a command line; `recording` knows the content of what is named. Raises ExchangeError."""
    kind, _, value = text.partition(":")
    if kind not in _KINDS or not value.strip():
        raise ExchangeError(f"--item {text[:60]!r}: viết / write {_ITEM_HELP}")
    plain: dict[str, Any] = {kind: recording(value) if kind == "media" else value.strip(), "chime": chime}
    if kind == "feed":
        feed, _, seconds = value.partition(":")
        if not seconds.isdecimal() or len(seconds) > len("86400"):
            raise ExchangeError(f"--item {text[:60]!r}: how long? write feed:{feed or 'vov1'}:900, in seconds")
        plain |= {"feed": feed, "duration_s": int(seconds)}
    try:
        return msgspec.convert(plain, Item)
    except msgspec.ValidationError as error:
        raise ExchangeError(f"--item {text[:60]!r}: {error}") from error


def _require_short(text: str, name: str) -> None:
    if len(text) > FILE_CHARACTERS_MAX:
        raise ExchangeError(f"{name}: {len(text)} characters; at most {FILE_CHARACTERS_MAX}")


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stand as they are read."""


def _lines(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _lines)
