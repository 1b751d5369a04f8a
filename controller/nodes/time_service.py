"""Tells nodes the time: a request in, a signed reply out; pure.

Shared time is this controller's clock, so there is nothing to be wrong about but how long the message was on its way.
Rules kept: a request that does not fit is counted by its reason and not answered; each node may ask so often a minute
and a few times at once, what is more is counted and not answered, for a signature costs more than a request; what is
remembered of nodes is bounded, the longest silent is forgotten first; a controller that does not know the time, or
whose clock was set back between the two stamps, says nothing.

The stamps are the adapter's (`adapters.time_link`); the bytes are `protocol.clock_sync`.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from controller.documents.notary import Scopes
from controller.errors import SigningError
from protocol.clock_sync import TIME_REPLY, TimeQuestion, open_request, seal_reply
from protocol.envelope import Signer
from protocol.errors import Refusal
from protocol.units import NS_PER_S, Now, SharedMs

AT_ONCE_MAX: Final = 20
"""Requests of one node close together: a node that has just started asks for two bursts, to learn its drift."""
NODES_MAX: Final = 20_000
"""As many as a configuration may name."""
_MINUTE_NS: Final = 60 * NS_PER_S


class Unanswered(StrEnum):
    """Why a good request gets no reply."""

    TOO_OFTEN = "too_often"
    TIME_UNKNOWN = "time_unknown"
    CLOCK_SET = "clock_set"


class TimeService:
    """See the module's text. `answered` and `unanswered` count, the latter by reason."""

    def __init__(self, *, signer: Signer, requests_a_minute_max: int, nodes_max: int = NODES_MAX) -> None:
        self._signer = signer
        self._every_ns = _MINUTE_NS // requests_a_minute_max
        self._nodes_max = nodes_max
        self._due_ns: OrderedDict[str, int] = OrderedDict()
        """For each node the monotonic instant at which all it has asked would have been in its pace."""
        self.answered = 0
        self.unanswered: Counter[str] = Counter()

    @property
    def remembered(self) -> int:
        """How many nodes are remembered."""
        return len(self._due_ns)

    def take(self, at: str, payload: bytes, received: Now) -> TimeQuestion | None:
        """The question that is to be answered, if this is one."""
        try:
            question = open_request(payload, at=at)
        except Refusal as refusal:
            self.unanswered[refusal.reason.value] += 1
            return None
        if not received.is_time_known:
            self.unanswered[Unanswered.TIME_UNKNOWN] += 1
            return None
        if not self._is_in_pace(question.request.node, received.monotonic_ns):
            self.unanswered[Unanswered.TOO_OFTEN] += 1
            return None
        return question

    def reply(self, question: TimeQuestion, *, received: Now, transmitted: Now) -> bytes | None:
        """The signed reply to be sent at once on the question's `reply_topic`; None when the clock was set."""
        if transmitted.shared_ns < received.shared_ns or not transmitted.is_time_known:
            self.unanswered[Unanswered.CLOCK_SET] += 1
            return None
        sealed = seal_reply(
            question, received=received.shared_ns, transmitted=transmitted.shared_ns, signer=self._signer
        )
        self.answered += 1
        return sealed

    def use(self, signer: Signer) -> None:
        """Sign with another key from now on."""
        self._signer = signer

    def _is_in_pace(self, node: str, now_ns: int) -> bool:
        """A bucket of AT_ONCE_MAX that fills once each `_every_ns`, kept as one number (ITU-T I.371, GCRA)."""
        due_ns = max(self._due_ns.pop(node, now_ns), now_ns)
        is_in_pace = due_ns - now_ns <= (AT_ONCE_MAX - 1) * self._every_ns
        self._due_ns[node] = due_ns + self._every_ns * is_in_pace
        if len(self._due_ns) > self._nodes_max:
            self._due_ns.popitem(last=False)
        return is_in_pace


def time_signer(signers: Iterable[Signer], scopes: Scopes, now_ms: SharedMs) -> Signer:
    """The first key whose scope allows to tell the time; raises SigningError that says what to do."""
    refusals = []
    for signer in signers:
        try:
            scopes.check_answer(signer.key_id, TIME_REPLY, now_ms)
        except Refusal as refusal:
            refusals.append(f"{signer.key_id}: {refusal.reason.value}")
        else:
            return signer
    message = (
        f"nodes are not told the time: no key of trust.signing_keys may sign the type {TIME_REPLY} "
        f"({'; '.join(refusals)}); have the root sign a keyset that allows it (of a development folder: remove "
        "keyset.cose and run development-pki again), or set time_service.enabled to false"
    )
    raise SigningError(message)
