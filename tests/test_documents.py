"""The documents say what is there: every configuration key, every local link, no machine's own paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from controller.configuration.config import Config
from controller.keys.signer_config import SignerConfig
from edge.config import EdgeConfig

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
KEYS_SECTION = re.compile(r"<!-- keys: (\w+) -->(.*?)<!-- end -->", re.DOTALL)
FILE = re.compile(r"`((?:protocol|edge|controller|simulator|tests|benchmarks|systemd|scripts|docs)/[\w./-]*)")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def keys_of(kind: Any, prefix: str = "") -> Iterator[str]:
    """The dotted paths of all keys of a configuration, lists as `[]`."""
    match kind:
        case msgspec.inspect.StructType(fields=fields):
            for field in fields:
                path = f"{prefix}.{field.encode_name}" if prefix else field.encode_name
                below = list(keys_of(field.type, path))
                yield from below or [path]
                if below and is_mapping_or_word(field.type):
                    yield path
        case msgspec.inspect.VarTupleType(item_type=item):
            yield from keys_of(item, f"{prefix}[]")
        case msgspec.inspect.UnionType(types=types):
            for each in types:
                yield from keys_of(each, prefix)


def is_mapping_or_word(kind: Any) -> bool:
    """Whether a key takes a mapping or something else, and so is a key of its own."""
    return isinstance(kind, msgspec.inspect.UnionType) and any(
        isinstance(each, msgspec.inspect.LiteralType) for each in kind.types
    )


@pytest.mark.parametrize(("name", "kind"), [("edge", EdgeConfig), ("controller", Config), ("signer", SignerConfig)])
def test_every_key_is_documented_once_and_no_other(name: str, kind: Any) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    section = dict(KEYS_SECTION.findall(text))[name]
    documented = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    assert sorted(documented) == sorted(keys_of(msgspec.inspect.type_info(kind)))


@pytest.mark.parametrize(("name", "kind"), [("edge", EdgeConfig), ("controller", Config)])
def test_documented_defaults_are_the_real_ones(name: str, kind: Any) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    section = dict(KEYS_SECTION.findall(text))[name]
    rows = dict(re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|", section, re.MULTILINE))
    real = dict(defaults_of(kind))
    for key, shown in rows.items():
        if key in real:
            assert shown.strip('"') == real[key], key
    assert len(rows) >= 10


def defaults_of(kind: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The defaults of plain keys that do not stand in a list."""
    for field in msgspec.structs.fields(kind):
        path = f"{prefix}.{field.encode_name}" if prefix else field.encode_name
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from defaults_of(field.type, path)
        elif isinstance(field.default, bool):
            yield path, str(field.default).lower()
        elif isinstance(field.default, (int, float)):
            yield path, f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        elif isinstance(field.default, str):
            yield path, field.default


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_local_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text()):
        assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_scripts_that_are_named_exist(document: Path) -> None:
    for script in re.findall(r"(?<![\w.])\./(scripts/\w+|\.ci/run)", document.read_text()):
        assert (ROOT / script).exists(), f"{document.name}: ./{script}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_folders_that_are_named_exist(document: Path) -> None:
    for named in FILE.findall(document.read_text()):
        assert (ROOT / named).exists(), f"{document.name}: {named}"
