"""What the parts of a configuration must be to each other: names that exist, ids given once, a real tree.

Each fault is one sentence with the key's path, what is wrong, and what would be right; all of them are told
at once, up to a bound. Types and bounds of single keys were checked by the schema; files are looked at elsewhere.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
import zoneinfo
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from controller.areas import Area, AreaTree
from controller.configuration.config import Config
from controller.errors import ConfigError
from controller.programmes.fitting import feed_faults

FAULTS_SHOWN_MAX: Final = 20
"""More than a person corrects at once."""
_DATABASES: Final = ("sqlite:///", "postgresql://")


def faults_of(config: Config) -> list[str]:
    """Everything found wrong, at most FAULTS_SHOWN_MAX sentences."""
    return list(islice(_faults(config), FAULTS_SHOWN_MAX))


def _faults(config: Config) -> Iterator[str]:
    try:
        zoneinfo.ZoneInfo(config.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        yield f"time_zone: {config.time_zone!r} is no time zone; write one such as Asia/Ho_Chi_Minh"
    if not config.database.startswith(_DATABASES):
        yield f"database: {config.database!r} must begin with {' or '.join(_DATABASES)}"
    yield from _door_faults(config)
    yield from _tree_faults(config)
    yield from _console_faults(config)
    for part in ("nodes", "feeds", "clips", "programmes"):
        yield from _repeated(part, (each.id for each in getattr(config, part)))
    yield from _repeated("trust.signing_keys", (each.key_id for each in config.trust.signing_keys))
    yield from _repeated("nodes report_key", (each.report_key for each in config.nodes if each.report_key))
    known_areas = {area.id for area in config.areas}
    for node in config.nodes:
        if node.id == config.controller:
            yield f"nodes.{node.id}.id: the controller's own name; such a node would have its rights at the broker"
        if node.area not in known_areas:
            yield f"nodes.{node.id}.area: {_unknown(node.area, known_areas)}"
    for feed in config.feeds:
        for url in feed.urls:
            if not is_feed_url(url):
                yield f"feeds.{feed.id}.urls: {url!r} is no http or https address"
    yield from _programme_faults(config, known_areas)
    yield from _enrolment_faults(config)


def _door_faults(config: Config) -> Iterator[str]:
    server = config.broker.server
    if server is not None and config.broker.port in {server.nodes.port, server.time.port}:
        yield (
            f"broker.port: {config.broker.port} is the nodes' door, where a certificate has one connection, and this "
            f"controller has several; write {server.services.port}, as broker.server.services.port says"
        )


def _console_faults(config: Config) -> Iterator[str]:
    """A console that others can reach has TLS and a name."""
    console = config.http.console
    if (console.certificate is None) != (console.private_key is None):
        yield "http.console: write both certificate and private_key, or neither"
    try:
        is_local = ipaddress.ip_address(console.host).is_loopback
    except ValueError:
        is_local = console.host == "localhost"
    if not is_local and console.certificate is None:
        yield (
            f"http.console.certificate: needed where host is {console.host}: passwords must not cross a network "
            "unencrypted; write certificate and private_key, or host: 127.0.0.1"
        )
    if not is_local and not console.origin:
        yield f"http.console.origin: needed where host is {console.host}; write the address that people open: https://…"
    if console.certificate is not None and console.origin.startswith("http:"):
        yield f"http.console.origin: {console.origin!r} must begin with https:// where there is a certificate"


def is_feed_url(url: str) -> bool:
    """Whether a text can be a station's address."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _tree_faults(config: Config) -> Iterator[str]:
    try:
        AreaTree(Area(id=area.id, title=area.title, level=area.level, parent=area.parent) for area in config.areas)
    except ConfigError as error:
        yield str(error)


def _programme_faults(config: Config, known_areas: set[str]) -> Iterator[str]:
    known_feeds = {feed.id for feed in config.feeds}
    for programme in config.programmes:
        path = f"programmes.{programme.id}"
        if programme.area not in known_areas:
            yield f"{path}.area: {_unknown(programme.area, known_areas)}"
        try:
            written = programme.written
        except ValueError as error:
            yield f"{path}: {error}"
            continue
        yield from (f"{path}.{fault}" for fault in feed_faults(written, known_feeds, config.announcement.chime_ms))


def _enrolment_faults(config: Config) -> Iterator[str]:
    """One sentence for each thing that does not fit."""
    enrolment = config.enrolment
    if (enrolment is None) != (config.http.enrolment is None):
        yield "enrolment and http.enrolment: write both, or neither"
    if enrolment is None:
        for node in config.nodes:
            if not node.report_key:
                yield f"nodes.{node.id}.report_key: needed, for there is no section enrolment that it could come from"
        return
    for key in ("url", "nodes_url"):
        if urllib.parse.urlsplit(getattr(enrolment, key)).scheme != "https":
            yield f"enrolment.{key}: {getattr(enrolment, key)!r} must begin with https://"


def _repeated(part: str, ids: Iterable[str]) -> Iterator[str]:
    for name, count in Counter(ids).items():
        if count > 1:
            yield f"{part}: {name!r} is given {count} times; each must be unique"


def _unknown(name: str, known: set[str]) -> str:
    return f"{name!r} is not known; known: {', '.join(sorted(known)) or 'none'}"
