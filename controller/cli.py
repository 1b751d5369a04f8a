"""`loaxa-controller`: run the controller, check its configuration, and ask the running one for something.

Exit codes: 0 done; 1 it could not be done; 2 the command or the configuration is wrong. Each error is one sentence on
standard error that says what is wrong, where, and what to do. Commands speak to the running controller through its
API, with the token that its configuration names.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from controller.adapters import development_pki
from controller.adapters.api_client import ApiClient
from controller.adapters.config_file import read_config, read_token
from controller.broker.cli import add_broker_verbs
from controller.enrolment.cli import add_enrolment_verbs
from controller.errors import ConfigError, ControllerError
from controller.keys.cli import add_keys_verbs, add_signer_verb
from controller.media.cli import add_media_verbs
from controller.orders.silence_cli import add_silence_verbs
from controller.people.cli import add_people_verbs
from controller.planning.cli import add_plan_verbs
from controller.programmes.bulletin_cli import add_bulletin_verbs
from controller.programmes.cli import add_programme_verbs
from controller.reporting.cli import add_report_verb
from controller.streams.voice_cli import add_voice_verbs
from controller.tables import TABLES, table_of

DONE: Final = 0
FAILED: Final = 1
WRONG: Final = 2
SHOWN: Final = ("nodes", "airings", "plan", "emergencies", "relays", "silences")
Verbs = Any
"""What `add_subparsers` gives; argparse keeps the type to itself."""
MakeParser = Callable[..., argparse.ArgumentParser]
_EPILOG: Final = """examples:
  loaxa-controller check /etc/loaxa/controller.yaml
  loaxa-controller run /etc/loaxa/controller.yaml
  loaxa-controller show /etc/loaxa/controller.yaml nodes
  loaxa-controller emergency start /etc/loaxa/controller.yaml --area xa-binh-minh --clip flood
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return WRONG
    except ControllerError as error:
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return FAILED
    except BrokenPipeError:
        return FAILED


def _run(options: argparse.Namespace) -> int:
    from controller.adapters.serve import serve  # noqa: PLC0415 - an emergency's command must not load codecs first

    level = logging.DEBUG if options.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    asyncio.run(serve(options.config))
    return DONE


def _check(options: argparse.Namespace) -> int:
    from controller.adapters.preflight import faults_found, warnings_found  # noqa: PLC0415 - as in `_run`

    config = read_config(options.config)
    faults = list(faults_found(config))
    for fault in faults:
        print(f"{options.config}: {fault}", file=sys.stderr)
    if faults:
        return WRONG
    for warning in warnings_found(config):
        print(f"{options.config}: warning: {warning}", file=sys.stderr)
    print(
        f"{options.config}: good. {len(config.areas)} areas, {len(config.nodes)} nodes, {len(config.feeds)} feeds, "
        f"{len(config.clips)} clips, {len(config.programmes)} programmes"
    )
    return DONE


def _show(options: argparse.Namespace) -> int:
    config = read_config(options.config)
    client = _client(options)
    if options.what == "plan":
        areas = [options.area] if options.area else [area.id for area in config.areas]
        rows = [
            {"area": area, **each}
            for area in areas
            for each in client.call("GET", f"/api/v1/plans/{area}")["occurrences"]
        ]
        rows.sort(key=lambda row: (row["start_at_ms"], row["area"]))
        print(table_of(rows[: options.limit], TABLES["plan"], time_zone=config.time_zone))
        return DONE
    query = f"?limit={options.limit}" if options.what == "airings" else ""
    answer = client.call("GET", f"/api/v1/{options.what}{query}")
    print(table_of(answer[options.what][: options.limit], TABLES[options.what], time_zone=config.time_zone))
    broker = answer.get("broker")
    if broker and not broker["is_connected"]:
        print(f"the broker is away: {broker['reason']}", file=sys.stderr)
    return DONE


def _emergency_start(options: argparse.Namespace) -> int:
    body = {
        "area": options.area,
        "clip": options.clip,
        "reality": "drill" if options.drill else "real",
        "minutes": options.minutes,
        "in_turns": options.in_turns,
        "chime": not options.no_chime,
    }
    answer = _client(options).call("POST", "/api/v1/emergencies", body)
    what = "drill" if options.drill else "EMERGENCY"
    stands = "raised" if answer["is_new"] else "stands already"
    waited = len(answer["waiting"]) + len(answer["sounding"]) + len(answer["late"]) + len(answer["missed"])
    print(f"{what} {answer['id']} {stands}: {answer['title']} in {answer['area_title']}, {waited} nodes")
    if answer["turns"] is not None:
        turns = answer["turns"]
        print(f"one zone after another: {turns['count']} turns of {turns['length_ms'] / 1000:.1f} s")
    elif options.in_turns:
        print("everywhere at once: the configuration gives the nodes of this area no different turns", file=sys.stderr)
    print(f"end it with: loaxa-controller emergency clear {options.config} {answer['id']}")
    return _warn_broker(answer)


def _emergency_clear(options: argparse.Namespace) -> int:
    client = _client(options)
    emergency = options.id
    if not emergency:
        standing = [each for each in client.call("GET", "/api/v1/emergencies")["emergencies"] if each["is_standing"]]
        if len(standing) != 1:
            listed = "; ".join(f"{each['id']} {each['title']} ({each['area']})" for each in standing)
            print(f"say which one: {listed}" if standing else "no emergency stands", file=sys.stderr)
            return FAILED
        emergency = standing[0]["id"]
    body = {"reason": options.reason, "correction": options.correction}
    answer = client.call("POST", f"/api/v1/emergencies/{emergency}/all-clear", body)
    print(f"{answer['id']} {answer['title']}: {'corrected' if options.correction else 'all-clear'}")
    return _warn_broker(answer)


def _relay_start(options: argparse.Namespace) -> int:
    body = {
        "area": options.area,
        "feed": options.feed,
        "minutes": options.minutes,
        "broadcast_class": options.broadcast_class,
        "chime": options.chime,
        "over": "duck" if options.duck else "replace",
    }
    answer = _client(options).call("POST", "/api/v1/relays", body)
    stands = "begins" if answer["is_new"] else "runs already"
    print(f"relay {answer['stream']} {stands}: {answer['title']} to {answer['area_title']}")
    print(f"end it with: loaxa-controller relay stop {options.config} {answer['stream']}")
    return _warn_broker(answer)


def _relay_stop(options: argparse.Namespace) -> int:
    answer = _client(options).call("DELETE", f"/api/v1/relays/{options.stream}")
    print(f"relay {answer['stream']} ended: {answer['title']} to {answer['area_title']}")
    return _warn_broker(answer)


def _development_pki(options: argparse.Namespace) -> int:
    print(development_pki.run(options))
    return DONE


def _warn_broker(answer: dict[str, Any]) -> int:
    if answer["is_broker_connected"]:
        return DONE
    print(f"NOT SENT YET: the broker is away ({answer['broker']}); it is sent when it is back", file=sys.stderr)
    return FAILED


def _client(options: argparse.Namespace) -> ApiClient:
    console = read_config(options.config).http.console
    return ApiClient(console, read_token(Path(console.token_file)))


def _parser() -> argparse.ArgumentParser:
    parser = _described(argparse.ArgumentParser, "loaxa-controller", __doc__.split("\n", 1)[0], _EPILOG)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    run = _verb(verbs, "run", _run, "run the controller in the foreground", "run controller.yaml")
    run.add_argument("--verbose", action="store_true", help="log more")
    _verb(verbs, "check", _check, "check the configuration and every file that it names", "check controller.yaml")
    show = _verb(
        verbs, "show", _show, "show what the running controller knows", "show controller.yaml airings --limit 20"
    )
    show.add_argument("what", choices=SHOWN, help="what to show")
    show.add_argument("--area", help="only the plan of this area")
    show.add_argument("--limit", type=_positive, default=50, help="at most so many rows (default 50)")
    _add_emergency(verbs)
    _add_relay(verbs)
    add_silence_verbs(verbs)
    add_media_verbs(verbs)
    add_voice_verbs(verbs)
    add_report_verb(verbs)
    add_plan_verbs(verbs)
    add_programme_verbs(verbs)
    add_bulletin_verbs(verbs)
    add_people_verbs(verbs)
    add_broker_verbs(verbs)
    add_enrolment_verbs(verbs)
    add_keys_verbs(verbs)
    add_signer_verb(verbs)
    pki = verbs.add_parser(
        "development-pki",
        help="make keys and certificates for development",
        epilog="example:\n  loaxa-controller development-pki pki --controller controller1 --node N001 --node N002",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    development_pki.add_arguments(pki)
    pki.set_defaults(command=_development_pki)
    return parser


def _add_emergency(verbs: Verbs) -> None:
    inner = verbs.add_parser("emergency", help="raise or end an emergency or a drill").add_subparsers(
        metavar="start|clear", required=True
    )
    start = _verb(
        inner,
        "start",
        _emergency_start,
        "play a prepared clip in an area at once, until the all-clear",
        "emergency start controller.yaml --area xa-binh-minh --clip flood --minutes 30",
    )
    start.add_argument("--area", required=True, help="the area's id; everything in it sounds")
    start.add_argument("--clip", required=True, help="the clip's id")
    start.add_argument("--drill", action="store_true", help="an exercise: signed and announced as one")
    start.add_argument("--minutes", type=_positive, default=30, help="ends by itself after so long (default 30)")
    start.add_argument(
        "--in-turns", action="store_true", help="one zone after another, where all at once would be an echo"
    )
    start.add_argument("--no-chime", action="store_true", help="begin with the clip, without the signal before it")
    clear = _verb(
        inner,
        "clear",
        _emergency_clear,
        "give the all-clear, or correct what should never have been raised",
        "emergency clear controller.yaml --reason 'nước đã rút'",
    )
    clear.add_argument("id", nargs="?", default="", metavar="ID", help="which; may be left out if only one stands")
    clear.add_argument("--correction", action="store_true", help="it should never have been raised")
    clear.add_argument("--reason", default="", help="why, for the record")


def _add_relay(verbs: Verbs) -> None:
    inner = verbs.add_parser("relay", help="relay a station's feed to an area").add_subparsers(
        metavar="start|stop", required=True
    )
    start = _verb(
        inner, "start", _relay_start, "relay a feed now", "relay start controller.yaml --area xa-binh-minh --feed vov1"
    )
    start.add_argument("--area", required=True, help="the area's id")
    start.add_argument("--feed", required=True, help="the feed's id")
    start.add_argument("--minutes", type=_positive, default=15, help="ends by itself after so long (default 15)")
    start.add_argument(
        "--class", dest="broadcast_class", choices=("routine", "priority"), default="routine", help="message class"
    )
    start.add_argument("--chime", action="store_true", help="with a gong before it")
    start.add_argument("--duck", action="store_true", help="a programme of lower rank goes on below it, much quieter")
    stop = _verb(inner, "stop", _relay_stop, "end a relay", "relay stop controller.yaml 0123456789abcdef")
    stop.add_argument("stream", metavar="STREAM", help="the stream's id, as `show CONFIG relays` lists it")


def _verb(
    verbs: Verbs,
    name: str,
    command: Callable[[argparse.Namespace], int],
    text: str,
    example: str,
) -> argparse.ArgumentParser:
    parser = _described(verbs.add_parser, name, text, f"example:\n  loaxa-controller {example}", help=text)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the controller's YAML file")
    parser.set_defaults(command=command)
    return parser


def _described(make: MakeParser, name: str, text: str, epilog: str, **more: str) -> argparse.ArgumentParser:
    return make(name, description=text, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter, **more)


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 10_000:  # noqa: PLR2004 - more is a slip of the finger
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 10000")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
