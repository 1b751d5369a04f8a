"""The demo's hand on the controller: its API, as a person's script would use it."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any, Final

ANSWER_S_MAX: Final = 5.0
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
"""Ten thousand nodes with all that is known of them are 5 MiB."""
AIRINGS_MAX: Final = 500
"""As many records as the API gives at once."""


class ConsoleError(Exception):
    """The controller could not be reached, or refused; the text is its own."""


class Console:
    """Calls of the API, one connection each; `token_file` is read at each call, for the controller may make it."""

    def __init__(self, *, port: int, token_file: Path) -> None:
        self._port = port
        self._token_file = token_file

    def nodes(self) -> list[dict[str, Any]]:
        """What the controller says of each node; raises ConsoleError."""
        return self._list("/api/v1/nodes", "nodes")

    def airings(self, *, limit: int = AIRINGS_MAX) -> list[dict[str, Any]]:
        """What is on record, newest first; raises ConsoleError."""
        return self._list(f"/api/v1/airings?limit={limit}", "airings")

    def plan(self, pole: str) -> dict[str, Any]:
        """What sounds on a pole in the coming days, and by which plans; raises ConsoleError."""
        answer = self._call("GET", f"/api/v1/plan?pole={pole}&days=7")
        return answer if isinstance(answer, dict) else {}

    def claim(self, node: str) -> str:
        """A one-time claim for a node's place: the technician's file for the boot partition."""
        return str(self._call("POST", "/api/v1/enrolments/claims", {"node": node})["boot_file"])

    def start_relay(self, *, area: str, feed: str, minutes: int) -> str:
        """Begin to relay a feed; its stream's id."""
        answer = self._call("POST", "/api/v1/relays", {"area": area, "feed": feed, "minutes": minutes})
        return str(answer["stream"])

    def stop_relays(self) -> None:
        """End every relay, under whatever stream it goes on: a controller that was killed begins a new one."""
        for relay in self._list("/api/v1/relays", "relays"):
            if relay.get("state") != "ended":
                self._call("DELETE", f"/api/v1/relays/{relay['stream']}")

    def start_emergency(self, *, area: str, clip: str, minutes: int, reality: str = "real") -> str:
        """Raise an emergency; its id."""
        body = {"area": area, "clip": clip, "minutes": minutes, "reality": reality}
        return str(self._call("POST", "/api/v1/emergencies", body)["id"])

    def all_clear(self, emergency: str, *, reason: str) -> None:
        """End an emergency."""
        self._call("POST", f"/api/v1/emergencies/{emergency}/all-clear", {"reason": reason, "correction": False})

    def _list(self, path: str, name: str) -> list[dict[str, Any]]:
        answer = self._call("GET", path)
        entries = answer.get(name, []) if isinstance(answer, dict) else []
        return [entry for entry in entries if isinstance(entry, dict)]

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_S_MAX)
        try:
            token = self._token_file.read_text().strip()
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            connection.request(method, path, body=json.dumps(body) if body is not None else None, headers=headers)
            answer = connection.getresponse()
            text = answer.read(ANSWER_BYTES_MAX)
            value = json.loads(text) if text else {}
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ConsoleError(f"{method} {path}: {error}") from error
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            refusal = value.get("error", {}) if isinstance(value, dict) else {}
            raise ConsoleError(
                f"{method} {path}: {answer.status} {refusal.get('code', '')} {refusal.get('message', '')}"
            )
        return value
