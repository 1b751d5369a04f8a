"""Configuration text: typos by path and nearest key, repeated keys, and no text that breaks the reader."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.configuration import SETTINGS_BYTES_MAX, SettingsError, parse_settings


class Broker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str = "localhost"
    port: int = 8883


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    broker: Broker | None = None
    others: tuple[Broker, ...] = ()
    named: dict[str, Broker] = {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nmae: x", "unknown key nmae (did you mean name?). Allowed here: name, broker, others, named"),
        ("{name: x, broker: {hots: a}}", "unknown key broker.hots (did you mean host?). Allowed here: host, port"),
        ("{name: x, others: [{}, {prt: 1}]}", "unknown key others[1].prt (did you mean port?)"),
        ("{name: x, named: {a: {colour: 1}}}", "Allowed here: host, port"),
        ("{name: x, broker: {port: a}}", "broker.port: Expected `int`, got `str`"),
        ("name: 1260", "name: Expected `str`, got `int` (write times of day in quotes)"),
        ("{broker: {}}", "Object missing required field `name`"),
        ("{name: x, name: y}", "the key 'name' is given twice"),
        ("[1, 2]", "a mapping of keys is expected"),
        ("", "a mapping of keys is expected"),
        ("name: [", "this is not YAML"),
        ("!!python/object/apply:os.getcwd []", "this is not YAML"),
        ("x" * (SETTINGS_BYTES_MAX + 1), "a configuration has at most"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, expected: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_settings(text, Settings, name="edge.yaml")
    assert str(refused.value).startswith("edge.yaml: ")
    assert expected in str(refused.value)


def test_what_is_right_is_typed() -> None:
    read = parse_settings("{name: x, broker: {port: 1883}, others: [{}]}", Settings, name="edge.yaml")
    assert read == Settings(name="x", broker=Broker(port=1883), others=(Broker(),))


@given(text=st.text())
def test_any_text_is_settings_or_a_named_error(text: str) -> None:
    try:
        parse_settings(text, Settings, name="edge.yaml")
    except SettingsError as error:
        assert str(error).startswith("edge.yaml: ")
