"""What is written down of documents: which came into force, which are refused or wait, and why.

One function a line, so that each decision about a document is named in the same words wherever it is made.
"""

from __future__ import annotations

from edge.effects import LogDecision, LogLevel
from edge.guard import Accepted
from protocol.errors import Refusal
from protocol.messages import Plan
from protocol.plan import BodyReference


def refusal_log(topic: str, refusal: Refusal) -> LogDecision:
    """The line about a message that changes nothing."""
    return refused_log("refused", topic, refusal)


def refused_log(decision: str, topic: str, refusal: Refusal) -> LogDecision:
    """The line about a document that is not obeyed, or no longer."""
    return LogDecision(
        decision=decision,
        fields=(("topic", topic[:120]), ("reason", refusal.reason.value), ("detail", refusal.detail)),
        level=LogLevel.WARNING,
    )


def accepted_log(accepted: Accepted) -> LogDecision:
    """The line about a document that came into force."""
    document = accepted.document
    fields: list[tuple[str, str | int | float | bool]] = [
        ("kind", document.document_type),
        ("id", document.id),
        ("key", accepted.key_id),
        ("counter", document.counter),
    ]
    if isinstance(document, Plan):
        fields.append(("occurrences", len(document.occurrences)))
    return LogDecision(decision="in force", fields=tuple(fields))


def waiting_log(accepted: Accepted, body: BodyReference) -> LogDecision:
    """The line about a plan whose body is fetched first."""
    fields = (("id", accepted.document.id), ("sha256", body.sha256), ("size_bytes", body.size_bytes))
    return LogDecision(decision="plan waits for its body", fields=fields)


def not_stored_log(topic: str, detail: str) -> LogDecision:
    """The line about a document that the disk did not take."""
    fields = (("topic", topic), ("reason", "not stored"), ("detail", detail))
    return LogDecision(decision="document not obeyed", fields=fields, level=LogLevel.ERROR)
