"""A root that follows another: what is refused before anybody signs it."""

from __future__ import annotations

import pytest

from controller.errors import KeyFileError
from controller.keys.succession import names_of_new_keys, new_root, succession, succession_lines
from protocol.keyring import RootKeys

OLD = RootKeys(threshold=2, keys={f"root-{number}": f"{number}" * 64 for number in (1, 2, 3)})
MADE = {"root-v2-1": "a" * 64, "root-v2-2": "b" * 64}


def test_the_next_root_keeps_the_very_keys_it_names_and_the_papers_say_so() -> None:
    new = new_root(MADE, threshold=2, after=OLD, keep=["root-2"])
    assert (new.version, new.keys) == (2, {"root-2": "2" * 64, **MADE})
    assert names_of_new_keys(after=OLD, count=2) == tuple(MADE)
    assert names_of_new_keys(after=None, count=2) == ("root-1", "root-2")
    document = succession(new, OLD)
    assert (document.counter, document.threshold) == (2, 2)
    assert {each.key_id: each.public_key.hex() for each in document.keys} == new.keys
    said = [line.strip().partition(":")[0] for line in succession_lines(new, OLD)][2:]
    assert said == ["root-2", "+ root-v2-1", "+ root-v2-2", "- root-1", "- root-3"]


@pytest.mark.parametrize("after", [None, OLD])
def test_what_the_old_root_does_not_have_cannot_be_kept(after: RootKeys | None) -> None:
    with pytest.raises(KeyFileError, match="cannot be kept"):
        new_root(MADE, threshold=2, after=after, keep=["root-9"])


@pytest.mark.parametrize(("made", "threshold"), [(MADE, 1), (MADE, 3), ({f"r{n}": "a" * 64 for n in range(99)}, 2)])
def test_one_thief_or_one_lost_share_is_not_the_end_of_a_root(made: dict[str, str], threshold: int) -> None:
    with pytest.raises(KeyFileError, match="at least two must sign"):
        new_root(made, threshold=threshold, after=None)


@pytest.mark.parametrize("version", [1, 3])
def test_versions_rise_by_one(version: int) -> None:
    with pytest.raises(KeyFileError, match="cannot follow"):
        succession(RootKeys(threshold=2, keys=MADE, version=version), OLD)


def test_an_id_never_names_two_keys() -> None:
    with pytest.raises(KeyFileError, match="names another key"):
        succession(RootKeys(threshold=2, keys={"root-1": "f" * 64, **MADE}, version=2), OLD)
