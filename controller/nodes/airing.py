"""Takes in what nodes put on record: verifies, orders, keeps, and only then acknowledges.

Rules kept: a report counts only with the signature of the key that is registered for its node. It is
acknowledged only after it is durable, and only up to the first number that is missing; a number that stays
missing for GAP_WAIT_MS is put on record as a gap, a fact and not a loss of what follows. Two different reports that
claim one number are a fact too, and the first stays. A loose report (a node's card refused it) stands outside the
numbering: it is kept and acknowledged by itself. Acknowledgements go out together, at most one a second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from controller.configuration.site import Site
from controller.documents.notary import CLOCK_TOLERANCE_MS, Notary
from controller.effects import Effect, Level, Note, Publish
from controller.errors import SigningError
from controller.ledger import Ledger
from controller.records import Change, CounterUsed, ReportGap, ReportHead, StandingDocument, StoredReport
from protocol.errors import Refusal, RefusalReason
from protocol.identity import node_audience
from protocol.messages import LOOSE_ACKNOWLEDGED_MAX, LOOSE_FROM, Acknowledgement, Report
from protocol.opening import OPENER, Opener
from protocol.topics import TOPICS, TopicName, topic
from protocol.units import Now, SharedMs

ACKNOWLEDGE_EVERY_MS: Final = 1_000
SIGN_AGAIN_MS: Final = 10_000
"""When the signer was away; nodes keep their reports meanwhile."""
GAP_WAIT_MS: Final = 600_000
"""A node that goes unanswered waits up to 240 s before it sends again; what has not come after two such waits is not
coming. What is passed over is acknowledged, and the node forgets it: too soon, and proof is lost."""
BEYOND_MAX: Final = 4_096
"""Reports of one node held beyond a gap: twice what a node keeps."""
ACKNOWLEDGEMENT_VALID_MS: Final = 300_000

Heard = Callable[[str, StoredReport, Now], Sequence[Effect]]
Forked = Callable[[str, int, Now], Sequence[Effect]]


@dataclass(slots=True)
class _Node:
    """How far one node's reports are complete: `digests` are those stored beyond `number`."""

    report_key: str
    number: int = 0
    sha256: bytes = bytes(32)
    digests: dict[int, bytes] = field(default_factory=dict)
    in_hand: dict[int, bytes] = field(default_factory=dict)
    loose: dict[int, None] = field(default_factory=dict)
    """Loose reports that are stored, the latest last."""
    gap_since_ms: SharedMs | None = None


class ReportDesk:
    """The reports of all nodes. `on_stored` hears of each new one after it is durable, `on_fork` of contradictions."""

    def __init__(
        self,
        *,
        site: Site,
        notary: Notary,
        ledger: Ledger,
        on_stored: Heard,
        on_fork: Forked,
        opener: Opener = OPENER,
    ) -> None:
        self._site = site
        self._notary = notary
        self._ledger = ledger
        self._opener = opener
        self._on_stored = on_stored
        self._on_fork = on_fork
        self._nodes: dict[str, _Node] = {}
        self._owed: dict[str, dict[int, None]] = {}
        """Nodes that an acknowledgement is due to, with the loose reports in it."""
        self._gap_at_ms: SharedMs | None = None
        self._acknowledge_at_ms: SharedMs | None = None
        self._acknowledged_at_ms = SharedMs(0)
        self.refused: dict[str, int] = {}
        """Reports that changed nothing, by reason."""

    def restore(self, heads: Iterable[ReportHead], beyond: Iterable[StoredReport], now_ms: SharedMs) -> None:
        """What was stored before the restart."""
        for head in heads:
            if self._key_of(head.node) == head.report_key:
                self._nodes[head.node] = _Node(head.report_key, number=head.number, sha256=head.sha256)
        for report in beyond:
            if self._key_of(report.node) == report.report_key:
                node = self._node(report.node)
                if report.number >= LOOSE_FROM:
                    node.loose[report.number] = None
                elif report.number > node.number:
                    node.digests[report.number] = report.sha256
        for node in self._nodes.values():
            self._advance(node, now_ms)

    def site_changed(self, site: Site) -> None:
        """A node with another report key begins anew; what it stored under the old one stays."""
        self._site = site
        self._nodes = {name: node for name, node in self._nodes.items() if self._key_of(name) == node.report_key}

    def keys_changed(self, site: Site, nodes: Iterable[str]) -> None:
        """These nodes may report with another key now."""
        self._site = site
        for name in nodes:
            if name in self._nodes and self._key_of(name) != self._nodes[name].report_key:
                del self._nodes[name]

    def received(self, name: str, payload: bytes, now: Now) -> list[Effect]:
        """Bytes on a node's report topic."""
        try:
            report = self._verified(name, payload)
        except Refusal as refusal:
            self.refused[refusal.reason.value] = self.refused.get(refusal.reason.value, 0) + 1
            reason = f"{refusal.reason.value}: {refusal.detail}"
            return [Note(level=Level.WARNING, what="report_refused", reason=reason, facts={"node": name})]
        node = self._node(name)
        if report.number in node.loose:
            self._owe(name, now, loose=report.number)
            return []
        digest = hashlib.sha256(payload).digest()
        known = node.digests.get(report.number) or node.in_hand.get(report.number)
        if report.number <= node.number or known is not None:
            return self._again(name, node, report, digest, known, now)
        if len(node.digests) + len(node.in_hand) >= BEYOND_MAX or self._ledger.is_full:
            return [Note(level=Level.WARNING, what="report_put_off", reason="too many wait", facts={"node": name})]
        node.in_hand[report.number] = digest
        return self._keep(name, node, report, payload, digest, now)

    def look(self, now: Now) -> list[Effect]:
        """Gaps that have lasted, acknowledgements that are owed."""
        effects: list[Effect] = []
        if self._gap_at_ms is not None and now.shared_ms >= self._gap_at_ms:
            effects += self._pass_gaps(now)
        if self._acknowledge_at_ms is not None and now.shared_ms >= self._acknowledge_at_ms:
            self._acknowledge_at_ms = None
            effects += self._acknowledge(now)
        return effects

    @property
    def next_at_ms(self) -> SharedMs | None:
        """When something is due."""
        gap_at_ms, acknowledge_at_ms = self._gap_at_ms, self._acknowledge_at_ms
        if gap_at_ms is None or acknowledge_at_ms is None:
            return gap_at_ms if acknowledge_at_ms is None else acknowledge_at_ms
        return min(gap_at_ms, acknowledge_at_ms)

    def _verified(self, name: str, payload: bytes) -> Report:
        key = self._key_of(name)
        if key is None:
            raise Refusal(RefusalReason.UNKNOWN_KEY, "the node is not known, or no unit is enrolled for it")
        sealed = self._opener.envelope(payload, topic=topic(TopicName.REPORT, node=name))
        report = self._opener.report(self._opener.payload(sealed, bytes.fromhex(key)))
        if report.node != name:
            raise Refusal(RefusalReason.WRONG_AUDIENCE, f"a report of {report.node}")
        if report.number < 1:
            raise Refusal(RefusalReason.MALFORMED, "numbers begin at 1")
        return report

    def _again(
        self, name: str, node: _Node, report: Report, digest: bytes, known: bytes | None, now: Now
    ) -> list[Effect]:
        """A number that has been seen: the node missed our answer, or contradicts itself."""
        if report.number not in node.in_hand:
            self._owe(name, now)
        seen = known or (node.sha256 if report.number == node.number else None)
        if seen is None or seen == digest:
            return []
        gap = self._fact(name, node, report.number, report.number, "contradiction", now)
        note = Note(
            level=Level.ERROR, what="report_contradicts", reason=f"number {report.number}", facts={"node": name}
        )
        return [note, *self._ledger.commit([gap]), *self._on_fork(name, report.number, now)]

    def _keep(self, name: str, node: _Node, report: Report, payload: bytes, digest: bytes, now: Now) -> list[Effect]:
        before = (
            node.sha256
            if report.number == node.number + 1
            else (node.digests.get(report.number - 1) or node.in_hand.get(report.number - 1))
        )
        stored = StoredReport(
            node=name,
            report_key=node.report_key,
            number=report.number,
            sha256=digest,
            sealed=payload,
            record=report.record,
            received_at_ms=now.shared_ms,
            is_chained=None if before is None or report.number >= LOOSE_FROM else before == report.previous_sha256,
        )

        def kept(later: Now) -> list[Effect]:
            node.in_hand.pop(report.number, None)
            if report.number >= LOOSE_FROM:
                self._keep_loose(name, node, report.number, later)
                return list(self._on_stored(name, stored, later))
            node.digests[report.number] = digest
            complete = node.number
            self._advance(node, later.shared_ms)
            if node.number > complete:
                self._owe(name, later)
            return list(self._on_stored(name, stored, later))

        def not_kept(reason: str, _later: Now) -> list[Effect]:
            node.in_hand.pop(report.number, None)
            return [Note(level=Level.ERROR, what="report_not_stored", reason=reason, facts={"node": name})]

        return self._ledger.commit([stored], then=kept, otherwise=not_kept)

    def _keep_loose(self, name: str, node: _Node, number: int, now: Now) -> None:
        node.loose[number] = None
        if len(node.loose) > BEYOND_MAX:
            del node.loose[next(iter(node.loose))]
        self._owe(name, now, loose=number)

    def _advance(self, node: _Node, now_ms: SharedMs) -> None:
        """Move over what is complete now."""
        while node.number + 1 in node.digests:
            node.number += 1
            node.sha256 = node.digests.pop(node.number)
            node.gap_since_ms = None
        if node.digests and node.gap_since_ms is None:
            node.gap_since_ms = now_ms
            due_ms = SharedMs(now_ms + GAP_WAIT_MS)
            self._gap_at_ms = due_ms if self._gap_at_ms is None else min(self._gap_at_ms, due_ms)

    def _pass_gaps(self, now: Now) -> list[Effect]:
        self._gap_at_ms = None
        effects: list[Effect] = []
        for name, node in self._nodes.items():
            if node.gap_since_ms is None:
                continue
            due_ms = SharedMs(node.gap_since_ms + GAP_WAIT_MS)
            if now.shared_ms >= due_ms:
                effects += self._pass_gap(name, node, now)
            else:
                self._gap_at_ms = due_ms if self._gap_at_ms is None else min(self._gap_at_ms, due_ms)
        return effects

    def _pass_gap(self, name: str, node: _Node, now: Now) -> list[Effect]:
        node.gap_since_ms = None
        if not node.digests:
            return []
        first, last = node.number + 1, min(node.digests) - 1
        node.number, node.sha256 = last, bytes(32)
        self._advance(node, now.shared_ms)
        self._owe(name, now)
        gap = self._fact(name, node, first, last, "gap", now)
        reason = f"reports {first} to {last} never came"
        return [
            Note(level=Level.WARNING, what="report_gap", reason=reason, facts={"node": name}),
            *self._ledger.commit([gap]),
        ]

    def _owe(self, name: str, now: Now, *, loose: int | None = None) -> None:
        owed = self._owed.setdefault(name, {})
        if loose is not None:
            owed[loose] = None
        if self._acknowledge_at_ms is None:
            self._acknowledge_at_ms = max(now.shared_ms, SharedMs(self._acknowledged_at_ms + ACKNOWLEDGE_EVERY_MS))

    def _acknowledge(self, now: Now) -> list[Effect]:
        changes: list[Change] = []
        publications: list[Effect] = []
        owed, self._owed = self._owed, {}
        for name, loose in sorted(owed.items()):
            node = self._nodes.get(name)
            if node is None or (node.number == 0 and not loose):
                continue
            try:
                document = self._sign(name, node.number, tuple(loose)[:LOOSE_ACKNOWLEDGED_MAX], now)
            except SigningError as error:
                self._owed.update(owed)  # said when a key is there again
                self._acknowledge_at_ms = SharedMs(now.shared_ms + SIGN_AGAIN_MS)
                return [Note(level=Level.ERROR, what="not_signed", reason=str(error))]
            used = CounterUsed(key_id=document.key_id, topic=document.topic, counter=document.counter)
            head = ReportHead(node=name, report_key=node.report_key, number=node.number, sha256=node.sha256)
            changes += [used, head]
            row = TOPICS[TopicName.ACKNOWLEDGEMENT]
            publications.append(
                Publish(
                    topic=document.topic, payload=document.payload, qos=row.qos, retain=False, expiry_s=row.expiry_s
                )
            )
        self._acknowledged_at_ms = now.shared_ms
        return self._ledger.commit(changes, then=lambda _: publications) if changes else []

    def _sign(self, name: str, number: int, loose: tuple[int, ...], now: Now) -> StandingDocument:
        return self._notary.sign(
            topic(TopicName.ACKNOWLEDGEMENT, node=name),
            lambda counter: Acknowledgement(
                id=f"ack.{name}.{counter}",
                issuer=self._site.controller,
                audience=node_audience(name),
                counter=counter,
                not_before_ms=now.shared_ms - CLOCK_TOLERANCE_MS,
                expires_at_ms=now.shared_ms + ACKNOWLEDGEMENT_VALID_MS,
                node=name,
                stored_number=number,
                loose=loose,
            ),
            now.shared_ms,
        )

    def _node(self, name: str) -> _Node:
        if name not in self._nodes:
            self._nodes[name] = _Node(self._key_of(name) or "")
        return self._nodes[name]

    def _key_of(self, name: str) -> str | None:
        node = self._site.nodes.get(name)
        return (node.report_key or None) if node else None

    @staticmethod
    def _fact(name: str, node: _Node, first: int, last: int, kind: str, now: Now) -> ReportGap:
        return ReportGap(
            node=name, report_key=node.report_key, first=first, last=last, kind=kind, noticed_at_ms=now.shared_ms
        )
