"""The ports of the agent: what it needs from the world, and how the world answers.

No method blocks. What takes time answers through the `post` that its adapter was made with, on the loop's
own thread; what fails answers with the failure event that `effects` names, never with an exception, but for
`Workshop.open_clip`, whose file is on the disk already. The sound card's port is `edge.player.ports.SoundCard`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from edge.effects import FetchMedia, LogDecision, StoreRequest
from edge.events import Restored
from edge.player.ports import ClipReader, Frames, OpusDecoder
from protocol.messages import Heard, HeardBy
from protocol.units import SharedNs


class Workshop(Protocol):
    """Makes what sounds: decoders for streams, readers of clips that were fetched."""

    def new_decoder(self) -> OpusDecoder:
        """A fresh decoder; raises DecoderError when the codec library is missing."""

    def open_clip(self, sha256: str) -> ClipReader:
        """A fetched media file, ready to be read; raises ClipError when it is missing or damaged."""


class Link(Protocol):
    """The connection to the broker (`protocol.adapters.mqtt_link`)."""

    def publish(
        self, topic: str, payload: bytes, qos: int = 1, retain: bool = False, expiry_s: int | None = None
    ) -> None:
        """Queue a message; QoS 0 is dropped while there is no connection."""

    def subscribe(self, topics: Sequence[tuple[str, int]]) -> None:
        """Be subscribed to these, on this connection and every later one; what is retained comes again."""

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """Undo `subscribe`."""

    def set_herd_window_s(self, herd_window_s: float) -> None:
        """Spread the first reconnect after a loss over this many seconds."""


class Store(Protocol):
    """What must survive a power cut. Requests are done in the order in which they were given."""

    def load(self) -> Restored:
        """Everything that is stored; the one call that waits, made before the loop runs. Raises StoreError."""

    def ask(self, request: StoreRequest) -> None:
        """Answers what is to be kept with DocumentStored, DocumentStoreFailed, ReportStored or ReportStoreFailed.

        What is to be forgotten gets no answer: a document that is forgotten twice, or not at all, harms nobody, and a
        report that is not forgotten is sent again, and the controller knows it.
        """

    def close(self) -> None:
        """Finish what was asked for, in bounded time, and let go of the database."""


class MediaStore(Protocol):
    """Media files by their hash."""

    def present(self) -> frozenset[str]:
        """Hashes of the files that are whole on the disk."""

    def fetch(self, effect: FetchMedia) -> None:
        """Answers MediaFetched or MediaFailed; one file at a time, in the order asked for."""

    def discard(self, sha256: str) -> None:
        """Remove a damaged file."""

    def free_bytes(self) -> int:
        """Free space of the file system that holds the files; 0 when it cannot be read."""

    def close(self) -> None:
        """Stop fetching, in bounded time; what has arrived of a file stays for the next start."""


class AmplifierPin(Protocol):
    """The one pin that powers the amplifier; off from the moment it is claimed."""

    def drive(self, *, on: bool) -> None:
        """Set the pin. Raises GpioError."""

    def close(self) -> None:
        """Switch it off and let go of it."""


class StopButtonPin(Protocol):
    """The pin of the stop button: tells ButtonFound once it can be read, then ButtonMoved at each raw change.

    A pin that cannot be claimed tells ButtonFailed, and nothing more: a pole without its button still warns.
    """

    def start(self) -> None:
        """Claim the pin and begin to tell."""

    def close(self) -> None:
        """Let go of it; nothing is told afterwards."""


class EarPort(Protocol):
    """What listens to the horn; a node without sensors has none."""

    @property
    def sensors(self) -> tuple[HeardBy, ...]:
        """What there is."""

    def start(self) -> None:
        """Listen: the card opens."""

    def stop(self) -> None:
        """Listen no more: the card is closed."""

    def sent(self, frames: Frames, at_ns: SharedNs) -> None:
        """These frames (int16[frames, 1]) are rendered, and the first is heard at that instant."""

    def heard(self, first_sample: int, samples: int, near_ms: Mapping[HeardBy, float]) -> Heard | None:
        """What was heard of an airing, as far as it has been listened to; near the delays of the reference."""

    def measure(self, first_sample: int) -> None:
        """Answers SelfTestMeasured about the self-test that began there."""

    def close(self) -> None:
        """Let go of the sensors."""


class Supervisor(Protocol):
    """Whoever restarts a process that hangs (systemd)."""

    def ready(self) -> None:
        """The process does its work now."""

    def alive(self) -> None:
        """The loop still turns."""

    def stopping(self) -> None:
        """The process ends by its own will."""


class DecisionLog(Protocol):
    """Where decisions are written down."""

    def write(self, decision: LogDecision) -> None:
        """One line."""
