"""Opens a listener and names what is wrong when it cannot be opened."""

from __future__ import annotations

import ipaddress
import ssl
from typing import Final

from aiohttp import web

from controller.configuration.config import ConsoleListenerConfig, NodesListenerConfig, TrustConfig
from controller.errors import ConfigError
from controller.web.quiet_connections import QuietConnections, QuietLimits

SHUTDOWN_S_MAX: Final = 2.0
"""Answers under way get so long when the controller stops."""
KEEP_ALIVE_S: Final = 30.0


async def open_listener(
    application: web.Application,
    *,
    host: str,
    port: int,
    key: str,
    tls: ssl.SSLContext | None = None,
    quiet: QuietLimits | None = None,
) -> web.AppRunner:
    """Serve an application, and bound its quiet connections if told; raises ConfigError that names the key."""
    connections = None if quiet is None else QuietConnections(application, quiet)
    runner = await set_up(application)
    if connections is not None:
        connections.server = runner.server
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(f"{key}: cannot listen on {host}:{port}: {error.strerror or error}") from error
    return runner


async def set_up(application: web.Application) -> web.AppRunner:
    """What serves an application, not listening yet; bodies are never unpacked: some bytes of one are gigabytes."""
    runner = web.AppRunner(
        application,
        auto_decompress=False,
        access_log=None,
        shutdown_timeout=SHUTDOWN_S_MAX,
        keepalive_timeout=KEEP_ALIVE_S,
        handle_signals=False,
    )
    await runner.setup()
    return runner


def is_loopback(host: str) -> bool:
    """Whether a listener's host is this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def console_tls(listener: ConsoleListenerConfig) -> ssl.SSLContext | None:
    """TLS for browsers, old telephones among them; None where no certificate is configured. Raises ConfigError."""
    if listener.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(listener.certificate, listener.private_key)
    except (OSError, ssl.SSLError) as error:
        message = f"http.console: {listener.certificate} with {listener.private_key} cannot be used: {error}"
        raise ConfigError(message) from error
    return context


def mutual_tls(listener: NodesListenerConfig, trust: TrustConfig) -> ssl.SSLContext:
    """TLS 1.3 with a certificate of our authority from both sides; raises ConfigError."""
    context = server_tls(listener)
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(trust.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"trust.ca: {trust.ca} cannot be used: {error}") from error
    return context


def server_tls(listener: NodesListenerConfig) -> ssl.SSLContext:
    """TLS 1.3 with our certificate alone; raises ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(listener.certificate, listener.private_key)
    except (OSError, ssl.SSLError) as error:
        message = f"http.nodes: {listener.certificate} with {listener.private_key} cannot be used: {error}"
        raise ConfigError(message) from error
    return context
