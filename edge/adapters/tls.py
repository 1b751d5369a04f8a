"""TLS as a node speaks it to the servers of its own authority: certificate, name and key are checked, not the time.

A node's clock may be years wrong (no RTC, a battery that is dead), and what comes over these connections is signed or
named by its hash anyway. Refusing a server for its dates would silence a pole for want of the very server that could
set its clock.
"""

from __future__ import annotations

import ssl

from protocol.adapters.mqtt_settings import NO_CHECK_TIME


def server_checked_context() -> ssl.SSLContext:
    """A client's context that trusts nobody yet and shows no certificate; authorities are added by the caller."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= NO_CHECK_TIME
    return context


def node_context(*, ca: str, certificate: str, private_key: str | None = None) -> ssl.SSLContext:
    """A context with the node's own certificate; raises OSError or ValueError for files that do not fit."""
    context = server_checked_context()
    context.load_verify_locations(cafile=ca)
    context.load_cert_chain(certificate, private_key)
    return context
