"""What a connection to the broker is made from, and how its troubles are told to a person.

Every bound of the link stands here. Files are named by path; keys never enter a configuration.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.errors import LocalProtocolError
from protocol.messages import DOCUMENT_BYTES_MAX
from protocol.pace import Pace
from protocol.reconnect import CEILING_S

IN_FLIGHT_MAX: Final = 10
"""Unacknowledged messages either way (MQTT 5 receive maximum); few, so that a slow line holds little."""
CONNECT_S_MAX: Final = 5.0
"""Bound of the TCP connect, and of the TLS handshake after it."""
CONNACK_S_MAX: Final = 10.0
"""Bound of the broker's answer after the handshake."""
FLUSH_S_MAX: Final = 1.0
"""How long `stop` waits for what is still queued."""
STOP_S_MAX: Final = 3.0
"""How long `stop` waits for the network thread, flushing included."""
INBOX_MAX: Final = 1_000
"""Received messages waiting for the event loop; beyond it the socket is not read, and TCP holds the broker back."""
PAYLOAD_BYTES_MAX: Final = DOCUMENT_BYTES_MAX


NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME (openssl/x509_vfy.h), which Python's `ssl` does not name."""
UNGREETED: Final = "ended the connection right after the handshake"
"""With TLS 1.3 a refused client learns of it only after its own handshake, and often just loses the connection."""


class LinkError(LocalProtocolError):
    """The link cannot be made from what was given; the text says what is wrong and where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """One identity's connection to one broker."""

    host: str
    port: int
    client_id: str
    ca_path: Path | str
    certificate_path: Path | str
    private_key_path: Path | str
    keep_alive_s: int = 30
    herd_window_s: float = 5.0
    retry_s_max: float = CEILING_S
    """The longest wait between two attempts; a fleet needs it long, a controller short."""
    session_expiry_s: int = 300
    queued_max: int = 1_000
    receive_max: int = IN_FLIGHT_MAX
    """What the broker may have on its way to us unacknowledged; the most that MQTT 5 knows is 65,535."""
    inbox_max: int = INBOX_MAX
    """Received messages that may wait for the event loop."""
    pace: Pace | None = None
    """How often one topic may speak; what comes faster is dropped unread. None: as often as the broker sends."""
    is_time_checked: bool = True
    """Whether the broker's certificate must be valid by this machine's clock. A node's may be years wrong, and it
    believes no broker anyway: it would be silent for ever where the time comes only after the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the broker says in our name when we are gone for longer than `delay_s`."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = True
    delay_s: int = 15


class ResumingContext(ssl.SSLContext):
    """A client's TLS context that offers the last session again: half the handshake's cost at the broker.

    It also remembers the socket that is being connected, so that `abort` can end a handshake that hangs.
    """

    _session: ssl.SSLSession | None = None
    _raw: socket.socket | None = None
    _is_aborted = False

    def wrap_socket(  # noqa: D102 - as the base
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            wrapped = super().wrap_socket(
                sock,
                server_side=server_side,
                do_handshake_on_connect=do_handshake_on_connect,
                suppress_ragged_eofs=suppress_ragged_eofs,
                server_hostname=server_hostname,
                session=session or self._session,
            )
        except BaseException:
            sock.close()  # paho forgets it, also where the peer had gone before there was anything to wrap
            raise
        self._raw = wrapped
        if self._is_aborted:
            self.abort()
        return wrapped

    def remember(self, session: ssl.SSLSession | None) -> None:
        """Offer this session at the next handshake; None offers none."""
        self._session = session

    def close(self) -> None:
        """Close the socket of a handshake that failed: paho forgets it. On the network's thread."""
        raw, self._raw = self._raw, None
        if raw is not None:
            raw.close()

    def abort(self) -> None:
        """End a handshake in progress, from any thread, and every later one."""
        self._is_aborted = True
        raw = self._raw
        if raw is not None:
            try:
                socket.socket.shutdown(raw, socket.SHUT_RDWR)
            except OSError:
                return  # it was not connected, or is gone already


def make_context(settings: MqttSettings) -> ResumingContext:
    """TLS 1.3, the broker checked against the CA and its name, and our own certificate. Raises LinkError."""
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = True
    if not settings.is_time_checked:
        context.verify_flags |= NO_CHECK_TIME
    try:
        context.load_verify_locations(cafile=str(settings.ca_path))
    except (OSError, ValueError) as error:
        raise LinkError(f"the CA {settings.ca_path} cannot be used: {error}; it must be a PEM certificate") from error
    try:
        context.load_cert_chain(str(settings.certificate_path), str(settings.private_key_path))
    except (OSError, ValueError) as error:
        what = f"{settings.certificate_path} with {settings.private_key_path}"
        raise LinkError(f"the certificate {what} cannot be used: {error}; they must be a PEM pair") from error
    return context


def explain_error(error: BaseException | str, *, host: str, port: int) -> str:
    """Plain words for why there is no connection."""
    at = f"{host}:{port}"
    match error:
        case ssl.SSLCertVerificationError():
            return f"the broker at {at} shows a certificate that is not to be trusted: {error.verify_message}"
        case socket.gaierror():
            return f"the broker's name {host} is unknown: check the name and the DNS"
        case ConnectionRefusedError():
            return f"nothing listens at {at}: is the broker running?"
        case TimeoutError():
            return f"the broker at {at} does not answer"
        case _:
            return _explain_text(str(error) or type(error).__name__, at)


def _explain_text(text: str, at: str) -> str:
    if text.startswith(UNGREETED):
        return f"the broker at {at} refuses our certificate, or so it seems: it {text}"
    alert = text.upper()
    if "CERTIFICATE_REQUIRED" in alert or "CERTIFICATE REQUIRED" in alert or "HANDSHAKE_FAILURE" in alert:
        return f"the broker at {at} refuses our certificate ({text})"
    if "ALERT" in alert and ("UNKNOWN_CA" in alert or "CERTIFICATE" in alert or "DECRYPT_ERROR" in alert):
        return f"the broker at {at} refuses our certificate ({text})"
    return f"no connection to the broker at {at}: {text}"
