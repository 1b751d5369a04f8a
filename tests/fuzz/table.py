"""Every target by its name."""

from __future__ import annotations

from tests.fuzz.target import Target
from tests.fuzz.targets_calendar import CALENDAR
from tests.fuzz.targets_controller import CONTROLLER
from tests.fuzz.targets_edge import EDGE
from tests.fuzz.targets_media import MEDIA
from tests.fuzz.targets_passkeys import PASSKEYS
from tests.fuzz.targets_programmes import PROGRAMMES
from tests.fuzz.targets_protocol import PROTOCOL

TARGETS: dict[str, Target] = {
    target.name: target for target in (*PROTOCOL, *EDGE, *CONTROLLER, *CALENDAR, *MEDIA, *PASSKEYS, *PROGRAMMES)
}
