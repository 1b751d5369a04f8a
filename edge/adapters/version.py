"""Which version of the product this is, as telemetry and `--version` show it."""

from __future__ import annotations

from importlib import metadata
from typing import Final

DISTRIBUTION: Final = "loaxa"


def product_version() -> str:
    """The installed distribution's version; "unknown" when the code runs without being installed."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"
