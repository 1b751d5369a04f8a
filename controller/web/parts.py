"""What the console's rooms share: the running controller, the people, and who is calling."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import jinja2
from aiohttp import web

from controller.adapters.audit_recorder import AuditRecorder
from controller.adapters.gate import Gate, Visit
from controller.adapters.people.office import PeopleOffice
from controller.adapters.people.own_account import OwnAccount
from controller.adapters.people.store import PeopleStore
from controller.configuration.config import ConsoleListenerConfig
from controller.dispatch import Desk
from controller.effects import Answer
from controller.errors import RequestCode, RequestError
from controller.people.audit import Actor
from controller.people.model import PersonView, Session
from controller.people.rights import Principal
from controller.ports import AiringQuestion, AiringRow
from controller.requests import Request
from controller.streams.relay import RelayEvent
from controller.views import StatusView


class VoiceInlet(Protocol):
    """Where one speaker's sound goes, and what becomes of it."""

    @property
    def news(self) -> asyncio.Queue[RelayEvent]:
        """On the air, ended: in order."""

    def take(self, block: bytes) -> None:
        """Sound as it was spoken: int16 little-endian, mono at 48 kHz."""

    def hang_up(self, reason: str) -> None:
        """It is over; a second time it changes nothing."""


class Console(Protocol):
    """What page and API need of the running controller."""

    @property
    def desk(self) -> Desk:
        """The desk, to be looked at."""

    def status(self) -> StatusView:
        """Everything at one instant."""

    async def ask(self, request: Request, *, by: Actor) -> Answer:
        """Put a request before the desk; raises RequestError."""

    async def airings(self, question: AiringQuestion) -> list[AiringRow]:
        """Stored records; raises DatabaseError."""

    def inlet(self, stream: str) -> VoiceInlet:
        """Where the sound of a voice that has just begun goes; raises RequestError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who calls, as far as it is known, and from where; `form_token` is what their forms must carry."""

    principal: Principal
    visit: Visit
    form_token: str = ""
    session: Session | None = None
    view: PersonView | None = None

    @property
    def actor(self) -> Actor:
        """As the audit log says it."""
        return Actor(who=self.principal.name, address=self.visit.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """What the console is told by the configuration."""

    listener: ConsoleListenerConfig
    file_token: Principal
    token: str
    step_up_ms: int


FORM_TYPE: Final = "application/x-www-form-urlencoded"
CONSOLE: Final = web.AppKey("console", Console)
SETTINGS: Final = web.AppKey("settings", ConsoleSettings)
GATE: Final = web.AppKey("gate", Gate)
ACCOUNT: Final = web.AppKey("account", OwnAccount)
OFFICE: Final = web.AppKey("office", PeopleOffice)
STORE: Final = web.AppKey("store", PeopleStore)
RECORDER: Final = web.AppKey("recorder", AuditRecorder)
ENVIRONMENT: Final = web.AppKey("environment", jinja2.Environment)
VISITOR: Final = web.RequestKey("visitor", Visitor)


def held(request: web.Request) -> tuple[Session, PersonView]:
    """The session and its person, where the rules have let only a holder of one through."""
    visitor = request[VISITOR]
    if visitor.session is None or visitor.view is None:
        raise AssertionError("a route of people was opened to somebody without a session")
    return visitor.session, visitor.view


async def posted(request: web.Request) -> Mapping[str, Sequence[str]]:
    """Every value of each field of a form, none where there is no form; raises RequestError for a broken one.

    No form of ours holds a file, so parts (multipart) are not read.
    """
    if request.content_type != FORM_TYPE:
        return {}
    try:
        form = await request.post()
    except (ValueError, LookupError) as error:  # no UTF-8; a charset that is none; too many fields
        what = f"biểu mẫu bị hỏng, hãy tải lại trang / this form cannot be read, load the page again: {error}"
        raise RequestError(RequestCode.BAD_REQUEST, what[:300]) from error
    return {name: [str(value) for value in form.getall(name)] for name in form}


async def form_of(request: web.Request) -> Mapping[str, str]:
    """A form's plain fields; raises RequestError for a broken one."""
    return {name: values[-1] for name, values in (await posted(request)).items()}
