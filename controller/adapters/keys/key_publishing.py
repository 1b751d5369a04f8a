"""`keys keyset publish` and `keys root publish`: what is signed goes to the controller of this machine.

Installs the file whole or not at all, has the running controller read it, and waits until it says that it has. A
controller that does not run takes it at its next start.

Rules kept: nothing is installed that the nodes would refuse: too few signatures, a version that is not higher; a new
root is installed only when the keyset in force is signed by it too, so that a power cut between any two steps leaves
a controller that starts and nodes that obey it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from controller.adapters.config_file import read_config
from controller.adapters.keys.key_bench import Bench
from controller.adapters.keys.key_files import read_public, replace_file
from controller.adapters.keys.signing import load_public, load_root
from controller.adapters.running_mark import Running, have_it_read_again, who_runs
from controller.configuration.config import Config, TrustConfig
from controller.errors import ConfigError, KeyFileError
from protocol.errors import Refusal
from protocol.keyring import Keyring

TAKEN_S_MAX: Final = 10.0
"""A running controller opens its keys again within a second or two."""
_LOOK_S: Final = 0.05


def run_keyset(options: argparse.Namespace, bench: Bench) -> str:
    """`keys keyset publish`."""
    config = read_config(options.config)
    data = read_public(options.file, "keyset")
    _data, _chain, version, keyring = _checked(config.trust, keyset=options.file)
    if Path(config.trust.keyset).exists():
        installed, _, before, _ = load_public(config.trust)
        if version <= before and installed != data:
            raise KeyFileError(f"{options.file} is version {version}; {before} is in force, and nodes take only higher")
    for line in _useless_keys(config, keyring):
        bench.tell(f"! {line}")
    replace_file(Path(config.trust.keyset), data, mode=0o644)
    return _hand_over(config, f"bộ khoá / keyset {version}", lambda running: running.keyset == version)


def run_root(options: argparse.Namespace, _bench: Bench) -> str:
    """`keys root publish`."""
    config = read_config(options.config)
    if not config.trust.root_chain:
        raise KeyFileError(f"{options.config} names no place for it; add trust.root_chain: root.chain")
    data = read_public(options.file, "chain")
    trust = msgspec.structs.replace(config.trust, root_chain=str(options.file.absolute()))
    try:
        _, root = load_root(trust)
        _, before = load_root(config.trust)
        if root.version <= before.version and root != before:
            raise KeyFileError(f"{options.file} ends with root {root.version}; root {before.version} is in force")
        load_public(trust)
    except ConfigError as error:
        raise KeyFileError(
            f"{error}. A new root is published when the keyset in force is signed by both: issue the next keyset with "
            "--root OLD --root NEW and publish it first"
        ) from error
    replace_file(Path(config.trust.root_chain), data, mode=0o644)
    return _hand_over(config, f"khoá gốc / root {root.version}", lambda running: running.root == root.version)


def _checked(trust: TrustConfig, *, keyset: Path) -> tuple[bytes, bytes | None, int, Keyring]:
    try:
        return load_public(msgspec.structs.replace(trust, keyset=str(keyset.absolute())))
    except ConfigError as error:
        hint = "only what `keys keyset issue` has called a keyset can be published, no draft and no part"
        raise KeyFileError(f"{error}; nothing was installed: {hint}") from error


def _useless_keys(config: Config, keyring: Keyring) -> list[str]:
    lines = []
    for key in config.trust.signing_keys:
        try:
            keyring.public_key(key.key_id)
        except Refusal as refusal:
            lines.append(f"trust.signing_keys: {refusal.detail}; this controller signs no more with it")
    if len(lines) == len(config.trust.signing_keys):
        lines.append("this controller can sign nothing any more: give it a key that the keyset names")
    return lines


def _hand_over(config: Config, what: str, is_taken: Callable[[Running], bool]) -> str:
    state_dir = Path(config.state_dir)
    running = who_runs(state_dir)
    if running is None:
        return f"{what}: đã cài / installed; the controller does not run, and takes it when it starts"
    have_it_read_again(running)
    end_s = time.monotonic() + TAKEN_S_MAX
    while running is not None and not is_taken(running):
        if time.monotonic() > end_s:
            raise KeyFileError(
                f"{what} is installed, but the running controller has not taken it within {TAKEN_S_MAX:.0f} s; "
                "its log says why"
            )
        time.sleep(_LOOK_S)
        running = who_runs(state_dir)
    return f"{what}: đã cài, đang dùng / installed and in force"
