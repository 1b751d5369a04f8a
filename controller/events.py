"""Everything that can happen to the controller's desk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.configuration.site import Site
from controller.documents.notary import Scopes
from controller.people.audit import Actor
from controller.programmes.bulletin import Bulletin
from controller.programmes.programme import Programme
from controller.requests import Request
from controller.streams.relay import RelayEvent
from protocol.envelope import Signer
from protocol.messages import MediaReference


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """A deadline has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerConnected:
    """The broker takes what we publish; what it remembers of us is not relied on."""

    is_session_present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLost:
    """There is no connection to publish by; the reason is for people."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningBegan:
    """The connection on which nodes are heard stands; nothing is subscribed to yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningEnded:
    """Nothing is heard of any node; the reason is for people."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReceived:
    """The broker delivered bytes; nothing about them is believed yet."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The changes of commit `number` are durable."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitFailed:
    """The changes of commit `number` could not be kept."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPrepared:
    """A source file is in the store."""

    path: str
    media: MediaReference


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaRefused:
    """A source file cannot be taken in; the reason is for people."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteChanged:
    """The configuration was read again; `by` is put on record."""

    site: Site
    by: Actor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammesChanged:
    """Some of the database's programmes and bulletins are otherwise now; None: gone, or must not sound."""

    programmes: Mapping[str, Programme | None]
    bulletins: Mapping[str, Bulletin | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportKeysChanged:
    """Units were enrolled, replaced or revoked: with which key each node reports now; "" for none."""

    keys: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityChanged:
    """Another keyset, another root or other signing keys are in force from now on."""

    version: int
    root_version: int = 1
    keyset: bytes
    root_chain: bytes | None
    scopes: Scopes
    signers: tuple[Signer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReceived:
    """Somebody asks for something through page, API or command; `ticket` names the answer, `by` is put on record."""

    ticket: int
    request: Request
    by: Actor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayNews:
    """What a relay worker says of its stream."""

    stream: str
    news: RelayEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """The process is about to end in good order."""


Event = (
    Woken
    | Stopping
    | BrokerConnected
    | BrokerLost
    | ListeningBegan
    | ListeningEnded
    | MessageReceived
    | Committed
    | CommitFailed
    | MediaPrepared
    | MediaRefused
    | SiteChanged
    | ProgrammesChanged
    | ReportKeysChanged
    | AuthorityChanged
    | RequestReceived
    | RelayNews
)
