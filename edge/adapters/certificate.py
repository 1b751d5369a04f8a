"""What the node's certificate says: whose it is, and until when; for `loaxa-edge check`.

Kept out of the running node: reading certificates costs 2 MB of memory, and the broker tells a node in plain words
when it refuses its certificate.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from edge.adapters.config_file import read_bounded
from edge.adapters.preflight import Findings
from edge.config import EdgeConfig
from edge.errors import ConfigurationError

EXPIRY_WARNING_DAYS: Final = 30
"""Certificates of 90 days are renewed at two thirds of their life; later than that somebody should look."""


def check_certificate(config: EdgeConfig, now: datetime) -> Findings:
    """What is wrong with the node's certificate, or soon will be."""
    findings = Findings()
    path = config.trust.certificate
    try:
        certificate = x509.load_pem_x509_certificate(read_bounded(Path(path), "trust.certificate"))
    except ConfigurationError as error:
        findings.problems += error.problems
        return findings
    except ValueError as error:
        findings.problems.append(f"trust.certificate: {path} is no PEM certificate: {error}")
        return findings
    names = [str(part.value) for part in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    if config.node not in names:
        findings.problems.append(
            f"trust.certificate: {path} is for {', '.join(names) or 'nobody'}, but node is {config.node}; the broker "
            "knows a node by its certificate's name"
        )
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > ends:
        findings.problems.append(f"trust.certificate: {path} expired on {ends:%Y-%m-%d}; the node needs a new one")
    elif now + timedelta(days=EXPIRY_WARNING_DAYS) > ends:
        findings.warnings.append(f"trust.certificate: {path} expires on {ends:%Y-%m-%d}")
    if now < begins:
        findings.warnings.append(f"trust.certificate: {path} is valid from {begins:%Y-%m-%d}; is the clock right?")
    return findings
