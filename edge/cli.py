"""`loaxa-edge`: run a node, check its configuration, look at what it has stored, silence its amplifier.

Heavy parts are imported by the verb that needs them, so that `silence` and `--help` are quick and work on a
machine where something else is broken. Exit status: 0 done, 1 a problem that the text explains, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge.errors import EdgeError

_EXAMPLES: Final = """examples:
  loaxa-edge check /etc/loaxa/edge.yaml       is everything there to start with?
  loaxa-edge run /etc/loaxa/edge.yaml         be a loudspeaker until SIGTERM
  loaxa-edge show /etc/loaxa/edge.yaml        what is stored: place, plan, keys, media, reports
  loaxa-edge enrol /etc/loaxa/edge.yaml       ask the controller for a certificate; run does it by itself
  loaxa-edge self-test /etc/loaxa/edge.yaml   does the horn sound? --take-reference at installation
  loaxa-edge silence /etc/loaxa/edge.yaml     switch the amplifier off (systemd runs it after each end)

Every key of the configuration is described in docs/configuration.md.
"""


def main(arguments: list[str] | None = None) -> None:
    """The program's entry; exits with its status."""
    options = _parser().parse_args(arguments)
    verb: Callable[[Path], int] = _VERBS[options.verb][0]
    try:
        status = _reference(options.config) if getattr(options, "take_reference", False) else verb(options.config)
    except EdgeError as error:
        print(error, file=sys.stderr)
        status = 1
    sys.exit(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="loaxa-edge",
        description="The node on the pole: keeps its plan and media, plays what is due, proves what sounded.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (_, text) in _VERBS.items():
        verb = verbs.add_parser(name, help=text, description=text)
        verb.add_argument("config", metavar="CONFIG", type=Path, help="the node's YAML file")
        if name == "self-test":
            verb.add_argument(
                "--take-reference",
                action="store_true",
                help="at installation, when all horns sound as they should: later tests are compared with this one",
            )
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        """Print the version; read only when asked for, because finding it takes time."""
        from edge.adapters.version import product_version  # noqa: PLC0415 - see above

        print(f"loaxa-edge {product_version()}")
        parser.exit()


def _run(config: Path) -> int:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's threads cost memory; the player never uses them
    from edge.adapters.config_file import read_config  # noqa: PLC0415 - see the module's text
    from edge.adapters.one_process import only_process  # noqa: PLC0415 - see the module's text
    from edge.adapters.runtime import run  # noqa: PLC0415 - see the module's text

    with only_process(Path(read_config(config).state_dir)):
        run(config)
    return 0


def _check(config: Path) -> int:
    from edge.adapters.inspection import check  # noqa: PLC0415 - see the module's text

    is_good, lines = check(config)
    print("\n".join(lines))
    return 0 if is_good else 1


def _show(config: Path) -> int:
    from edge.adapters.inspection import show  # noqa: PLC0415 - see the module's text

    print("\n".join(show(config)))
    return 0


def _enrol(config: Path) -> int:
    from edge.adapters.enrolment_verb import enrol  # noqa: PLC0415 - see the module's text

    is_enrolled, lines = enrol(config)
    print("\n".join(lines))
    return 0 if is_enrolled else 1


def _silence(config: Path) -> int:
    from edge.adapters.config_file import read_config  # noqa: PLC0415 - see the module's text
    from edge.adapters.gpio_lines import pin_settings, silence  # noqa: PLC0415 - see the module's text
    from protocol.adapters.system_clock import read_now  # noqa: PLC0415 - see the module's text

    settings = pin_settings(read_config(config).amplifier)
    is_real = silence(settings, read_now=read_now)
    what = f"pin {settings.relay_pin}" if is_real else f"pin {settings.relay_pin} of the mock (there are no pins here)"
    print(f"the amplifier is off: {what}")
    return 0


def _self_test(config: Path, *, takes_reference: bool = False) -> int:
    from edge.adapters.self_test_verb import self_test  # noqa: PLC0415 - see the module's text

    is_good, lines = self_test(config, takes_reference=takes_reference)
    print("\n".join(lines))
    return 0 if is_good else 1


def _reference(config: Path) -> int:
    return _self_test(config, takes_reference=True)


_VERBS: Final[dict[str, tuple[Callable[[Path], int], str]]] = {
    "run": (_run, "be a loudspeaker until SIGTERM or Ctrl-C"),
    "check": (_check, "say whether the configuration and all that it names can be used"),
    "show": (_show, "print what the node has stored, also while it runs or is stopped"),
    "enrol": (_enrol, "ask for a certificate until there is one, or Ctrl-C; print the label's fingerprint"),
    "self-test": (_self_test, "let the running node sound a sweep of 3 s and say what its microphone or current heard"),
    "silence": (_silence, "switch the amplifier's pin off"),
}


if __name__ == "__main__":
    main()
