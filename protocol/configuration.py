"""Configuration text to typed settings, with errors that a technician can act on.

One YAML per process. A key that does not exist is named with its path, the keys that are allowed there and
the nearest one; a key given twice is an error, for YAML would silently take the last. What the keys mean and
whether they fit each other is each product's own business, and so is reading the file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable
from typing import Any, Final, TypeVar

import msgspec
import msgspec.inspect
import yaml

from protocol.errors import ProtocolError

T = TypeVar("T")

SETTINGS_BYTES_MAX: Final = 4 * 1024 * 1024
"""Largest configuration file: 20,000 nodes, the most that a controller takes, need about 200 bytes each."""
BRACKETS_MAX: Final = 16
"""How deep [ and { may stand in one another; a configuration needs three, and the reader's work grows by the square."""
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(?P<key>[^`]*)`(?: - at `(?P<path>[^`]*)`)?")
_AT: Final = re.compile(r"^(?P<what>.*?) - at `(?P<path>[^`]*)`$", re.DOTALL)
_STEP: Final = re.compile(r"\.(\w+)|\[(?:\d+|\.\.\.)\]")


class SettingsError(ProtocolError):
    """A configuration that cannot be used; the text says where and what is allowed."""


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, and brackets in brackets without end, which cost it minutes."""

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        """As the base, up to a depth."""
        if self.flow_level >= BRACKETS_MAX:
            raise yaml.scanner.ScannerError(None, None, f"brackets {BRACKETS_MAX} deep", self.get_mark())
        super().fetch_flow_collection_start(token)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """As the base, but a repeated key is an error at its line."""
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key!r} is given twice", key_node.start_mark
                    )
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_yaml(text: str) -> Any:  # noqa: ANN401 - YAML holds any plain value
    """Plain values from YAML text; raises yaml.YAMLError, ValueError or RecursionError."""
    return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader that refuses repeated keys


def parse_settings(text: str, kind: type[T], *, name: str) -> T:
    """Settings of `kind` from YAML text; `name` is the file as errors name it. Raises SettingsError."""
    if len(text) > SETTINGS_BYTES_MAX:
        message = f"{name}: {len(text)} characters; a configuration has at most {SETTINGS_BYTES_MAX}"
        raise SettingsError(message)
    try:
        plain = read_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        message = f"{name}: this is not YAML: {error}"
        raise SettingsError(message) from error
    if not isinstance(plain, dict):
        message = f"{name}: a mapping of keys is expected; allowed: {_listed(_fields_at(kind, ''))}"
        raise SettingsError(message)
    try:
        return msgspec.convert(plain, kind, strict=True)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{name}: {_explain(str(error), kind)}") from error


_QUOTES: Final = {
    "Expected `str`, got `int`": " (write times of day in quotes)",
    "Expected `str`, got `date`": " (write dates and times in quotes)",
    "Expected `str`, got `datetime`": " (write dates and times in quotes)",
}
"""YAML takes 21:00 for a number and 2026-11-22 for a date."""


def _explain(message: str, kind: Any) -> str:  # noqa: ANN401 - any msgspec type
    unknown = _UNKNOWN.match(message)
    if unknown:
        path, key = unknown["path"] or "$", unknown["key"]
        allowed = _fields_at(kind, path)
        near = difflib.get_close_matches(key, allowed, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"unknown key {_dotted(path, key)}{hint}. Allowed here: {_listed(allowed)}"
    at = _AT.match(message)
    if not at:
        return message
    quote = _QUOTES.get(at["what"].replace(" | null", ""), "")
    return f"{_dotted(at['path'])}: {at['what']}{quote}"


def _dotted(path: str, key: str = "") -> str:
    return ".".join(part for part in (path.removeprefix("$").removeprefix("."), key) if part) or "the file"


def _listed(keys: list[str]) -> str:
    return ", ".join(keys) or "none"


def _fields_at(kind: Any, path: str) -> list[str]:  # noqa: ANN401 - any msgspec type
    """The keys that a mapping at `path` may have; empty where it is no struct."""
    infos: list[Any] = [msgspec.inspect.type_info(kind)]
    for step in _STEP.finditer(path):
        infos = [inner for info in infos for inner in _step_into(info, step[1])]
    fields: list[str] = []
    for info in _flattened(infos):
        if isinstance(info, msgspec.inspect.StructType):
            fields += [field.encode_name for field in info.fields if field.encode_name not in fields]
    return fields


def _step_into(info: Any, field: str | None) -> list[Any]:  # noqa: ANN401 - msgspec's type nodes
    found: list[Any] = []
    for choice in _flattened([info]):
        if field is not None and isinstance(choice, msgspec.inspect.StructType):
            found += [each.type for each in choice.fields if each.encode_name == field]
        elif field is None and isinstance(choice, (msgspec.inspect.VarTupleType, msgspec.inspect.ListType)):
            found.append(choice.item_type)
        elif field is None and isinstance(choice, msgspec.inspect.DictType):
            found.append(choice.value_type)
    return found


def _flattened(infos: list[Any]) -> list[Any]:
    flat: list[Any] = []
    for info in infos:
        match info:
            case msgspec.inspect.UnionType(types=types):
                flat += _flattened(list(types))
            case msgspec.inspect.Metadata(type=inner):
                flat += _flattened([inner])
            case _:
                flat.append(info)
    return flat
