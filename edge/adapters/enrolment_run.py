"""Runs a unit's enrolment: carries out what `enrolment.UnitEnrolment` says to do, and tells it what came of it.

`do` blocks and is called off the loop's thread, one call at a time. Leaves to the runtime what a new certificate means
for connections that stand. Every line that it logs is for a technician: Vietnamese first, English beside.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.adapters.hardware import read_hardware
from edge.adapters.identity_files import Files, FolderFiles, IdentityFiles
from edge.adapters.logging import LoggedDecisions
from edge.adapters.store import begin_new_chain
from edge.config import EdgeConfig
from edge.effects import LogDecision, LogLevel
from edge.enrolment.identity import (
    CA,
    CERTIFICATE,
    IDENTITY,
    BootSettings,
    Identity,
    claim_sha256,
    identity_folder,
)
from edge.enrolment.lifecycle import Happening, Todo, Told, UnitEnrolment, UnitState
from edge.errors import ConfigurationError, EdgeError, EnrolmentError
from protocol.adapters.system_clock import BUILT_AT_SHARED_NS, read_discipline, read_now
from protocol.enrolment import EnrolmentDocuments, EnrolmentSite
from protocol.units import NS_PER_MS

if TYPE_CHECKING:
    from edge.adapters.enrolment_client import EnrolmentClient, Wait
    from edge.adapters.enrolment_keys import Certified

TIME_NOTED_EVERY_MS: Final = 24 * 3600 * 1000
"""How often a good clock's time is written down for a start without one."""


class NodeEnrolment:
    """The enrolment of this card in this box; raises ConfigurationError when there is no section for it."""

    def __init__(self, config: EdgeConfig, *, files: Callable[[Path], Files] = FolderFiles) -> None:
        if config.enrolment.file is None:
            raise ConfigurationError("enrolment", ["enrolment.file: names no file; this node does not enrol"])
        boot = Path(config.enrolment.file)
        self._state_dir = Path(config.state_dir)
        self.hardware: Final = read_hardware(config.enrolment.hardware)
        self.folder: Final = identity_folder(config.state_dir, self.hardware)
        self._boot_path = boot
        self._files = IdentityFiles(files(self.folder), files(boot.parent), boot.name)
        self._log = LoggedDecisions()
        self._chance = random.SystemRandom().random
        self._ignored_claim = ""
        self.identity = self._files.identity()
        self.documents: EnrolmentDocuments | None = None
        self.last_words = ""
        """Why the last try came to nothing, for `show` and the log."""
        self._machine = self._new_machine()

    @property
    def state(self) -> UnitState:
        """Where the unit stands."""
        return self._machine.state

    @property
    def is_enrolled(self) -> bool:
        """Whether the unit holds a certificate, be it an old one."""
        return self.identity is not None

    @property
    def label(self) -> str:
        """What the label on the box says; empty before keys were made."""
        return self._files.label()

    @property
    def is_foreign(self) -> bool:
        """Whether the card carries an identity, but of another box."""
        others = self.folder.parent.glob(f"*/{IDENTITY}")
        return self.identity is None and any(each.parent != self.folder for each in others)

    def now_ms(self) -> int:
        """The time, but never before one that has certainly passed."""
        return max(read_now().shared_ms, self._floor_ms())

    def next_step(self) -> Todo | None:
        """What to do now."""
        return self._machine.next_step(self.now_ms())

    def wait_s(self) -> float:
        """How long until something is due."""
        return self._machine.wait_s(self.now_ms())

    def say_where_it_stands(self) -> None:
        """The first lines of a unit that is not enrolled."""
        if self.is_foreign:
            self._say(
                "thẻ nhớ này đến từ hộp khác, không dùng chứng chỉ cũ, đăng ký lại · this card comes from another box: "
                "its identity is not used here, the unit enrols anew",
                LogLevel.WARNING,
                box=self.hardware,
            )

    def do(self, todo: Todo) -> Happening:
        """Carry out one step; blocks, in bounded time."""
        try:
            told = self._done(todo)
        except EdgeError as error:
            self.last_words = str(error)
            self._say(
                "chưa đăng ký được, sẽ thử lại · not enrolled yet, trying again", LogLevel.WARNING, why=str(error)
            )
            told = Told(what=Happening.UNREACHABLE, chance=self._chance())
        self._machine.told(told, self.now_ms())
        self._note_time()
        if told.what is Happening.DENIED and self.identity is not None and self._machine.state is UnitState.DENIED:
            boot = self._boot()
            self._ignored_claim = (boot.claim if boot else None) or ""
            self._machine = self._new_machine()  # the present certificate goes on
        return told.what

    def _done(self, todo: Todo) -> Told:
        match todo:
            case Todo.MAKE_KEYS:
                if not self._files.has_report_key():
                    begin_new_chain(self._state_dir)
                self._make_keys()
                return Told(what=Happening.KEYS_MADE)
            case Todo.APPLY:
                return self._apply()
            case Todo.RENEW:
                return self._renew()

    def _make_keys(self) -> tuple[bytes, bytes]:
        try:
            self._files.make_keys()
        except OSError as error:
            raise EnrolmentError(f"the keys cannot be written: {error}; replace the card") from error
        made = self._files.keys()
        if made is None:
            raise EnrolmentError(f"the keys in {self.folder} are gone")
        return made

    def _apply(self) -> Told:
        from edge.adapters import enrolment_keys as keys  # noqa: PLC0415 - X.509 costs a running node 2 MB
        from edge.adapters.enrolment_client import EnrolmentClient, Wait  # noqa: PLC0415 - as above

        settings = self._settings()
        tls_key, report_key = self._make_keys()
        claim = settings.claim or ""
        request = keys.make_request(
            tls_key_pem=tls_key, report_key_pem=report_key, node=settings.node or "", hardware=self.hardware
        )
        client = EnrolmentClient(floor_ms=self._floor_ms())
        trust, site = client.bootstrap(settings.url, settings.ca_sha256)
        answer = client.enroll(settings.url, trust, request, tls_key_pem=tls_key, node=settings.node or "", claim=claim)
        if isinstance(answer, Wait):
            return self._not_yet(answer)
        if settings.node and answer.node != settings.node:
            raise EnrolmentError(
                f"the certificate is for {answer.node}, but the technician's file says {settings.node}"
            )
        self._keep(
            answer, trust.roots_pem, site, url=settings.url, ca_sha256=settings.ca_sha256, claim=claim_sha256(claim)
        )
        self._fetch_documents(client)
        return Told(what=Happening.ISSUED, validity=answer.validity)

    def _renew(self) -> Told:
        from edge.adapters import enrolment_keys as keys  # noqa: PLC0415 - as in `_apply`
        from edge.adapters.enrolment_client import EnrolmentClient, Wait, own_context  # noqa: PLC0415 - as in `_apply`

        present = self.identity
        if present is None:
            raise EnrolmentError("there is no identity to renew")
        tls_key, report_key = self._make_keys()
        request = keys.make_request(
            tls_key_pem=tls_key, report_key_pem=report_key, node=present.node, hardware=self.hardware
        )
        client = EnrolmentClient(floor_ms=self._floor_ms())
        own = own_context(str(self.folder / CA), str(self.folder / CERTIFICATE))
        renewed = client.renew(present.nodes_url, own, request, tls_key_pem=tls_key)
        if isinstance(renewed, Wait):
            return self._not_yet(renewed)
        answer, trust, site = renewed
        if answer.node != present.node:
            raise EnrolmentError(f"the renewed certificate is for {answer.node}, not for {present.node}")
        self._keep(
            answer,
            trust.roots_pem,
            site,
            url=present.url,
            ca_sha256=present.ca_sha256,
            claim=present.claim_sha256,
        )
        return Told(what=Happening.ISSUED, validity=answer.validity)

    def _keep(
        self, made: Certified, roots_pem: bytes, site: EnrolmentSite, *, url: str, ca_sha256: str, claim: str
    ) -> None:
        identity = Identity(
            node=made.node,
            hardware=self.hardware,
            url=url,
            ca_sha256=ca_sha256,
            claim_sha256=claim,
            broker_host=site.broker_host,
            broker_port=site.broker_port,
            broker_time_port=site.broker_time_port,
            nodes_url=site.nodes_url,
            not_before_ms=made.validity.not_before_ms,
            not_after_ms=made.validity.not_after_ms,
        )
        self._files.keep(made, roots_pem=roots_pem, identity=identity)
        self.identity, self.last_words = identity, ""
        self._say("đã đăng ký · enrolled", node=identity.node, box=self.hardware)

    def _fetch_documents(self, client: EnrolmentClient) -> None:
        """Keyset and assignment, so that the unit need not wait for the broker; it brings them too."""
        from edge.adapters.enrolment_client import own_context  # noqa: PLC0415 - as in `_apply`

        if self.identity is None:
            return
        try:
            own = own_context(str(self.folder / CA), str(self.folder / CERTIFICATE))
            self.documents = client.documents(self.identity.nodes_url, own)
        except EnrolmentError as error:
            self._say("documents come by the broker", LogLevel.WARNING, why=str(error))

    def _not_yet(self, wait: Wait) -> Told:
        self.last_words = wait.message
        is_denied = bool(wait.code)
        what = "bị từ chối · denied" if is_denied else "chờ duyệt · waiting for approval"
        self._say(what, LogLevel.WARNING, why=wait.message, label=self.label)
        return Told(what=Happening.DENIED if is_denied else Happening.WAIT, retry_after_s=wait.retry_after_s)

    def _settings(self) -> BootSettings:
        """The technician's file; what the unit was enrolled by where there is none any more."""
        boot, present = self._boot(), self.identity
        if boot is not None and boot.claim and boot.claim == self._ignored_claim:
            boot = None
        if boot is not None:
            return boot
        if present is None:
            raise EnrolmentError(f"chưa có tệp đăng ký · {self._boot_path} is not there; ask the operator for it")
        return BootSettings(url=present.url, ca_sha256=present.ca_sha256, node=present.node)

    def _boot(self) -> BootSettings | None:
        try:
            return self._files.boot()
        except EdgeError as error:
            if self.identity is None:
                raise
            self._say("technician's file not read", LogLevel.WARNING, why=str(error))
            return None

    def _new_machine(self) -> UnitEnrolment:
        present = self.identity
        if present is not None:
            self._files.tidy(present)
            boot = self._boot()
            claim = (boot.claim if boot else None) or ""
            if claim and claim != self._ignored_claim and claim_sha256(claim) != present.claim_sha256:
                present = None  # a new code: somebody wants this unit elsewhere, or has taken it in again
        return UnitEnrolment(
            has_keys=self._files.keys() is not None or self.identity is not None,
            validity=None if present is None else present.validity,
            name=self.hardware,
            now_ms=self.now_ms(),
        )

    def _floor_ms(self) -> int:
        return max(BUILT_AT_SHARED_NS // NS_PER_MS, self._files.last_seen_ms())

    def _note_time(self) -> None:
        now_ms = read_now().shared_ms
        if read_discipline().is_synchronised and now_ms - self._files.last_seen_ms() > TIME_NOTED_EVERY_MS:
            self._files.note_time(now_ms)

    def _say(self, what: str, level: LogLevel = LogLevel.INFO, **fields: str) -> None:
        self._log.write(LogDecision(decision=what, fields=tuple(fields.items()), level=level))
