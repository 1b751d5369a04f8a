"""Where a unit's identity lies on the disk, and the order in which it is written.

Every write is whole or not at all (`durable_file`), and the order makes every point in between a working state: keys
before the request that names them; authority, then certificate with its key in one file, then `identity.json`, which
alone says that the unit is enrolled; only then is the claim wiped from the technician's file. Renewal goes the same
way, so that what is written of a certificate is never ahead of it.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from edge.enrolment.identity import (
    BOOT_BYTES_MAX,
    CA,
    CERTIFICATE,
    IDENTITY,
    REPORT_KEY,
    TLS_KEY,
    BootSettings,
    Identity,
    boot_settings,
    claim_sha256,
    without_claim,
)
from edge.errors import ConfigurationError, EdgeError, EnrolmentError
from protocol.adapters.durable_file import sync, write_durably

if TYPE_CHECKING:
    from edge.adapters.enrolment_keys import Certified

log = logging.getLogger(__name__)

LAST_SEEN: Final = "last_seen_ms"
FILE_BYTES_MAX: Final = 256 * 1024


class Files(Protocol):
    """A folder of small files, each written whole or not at all."""

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None where there is none. Raises EnrolmentError."""

    def write(self, name: str, data: bytes, *, is_private: bool) -> None:
        """Replace a file; raises OSError, and then nothing has changed."""

    def remove(self, name: str) -> None:
        """Let a file be gone."""


class FolderFiles:
    """`Files` in a folder, which is made (0700) when something is first written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        """See `Files.read`."""
        try:
            with (self._folder / name).open("rb") as file:
                return file.read(FILE_BYTES_MAX)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise EnrolmentError(f"{self._folder / name} cannot be read: {error.strerror or error}") from error

    def write(self, name: str, data: bytes, *, is_private: bool) -> None:
        """See `Files.write`. What is there keeps its rights: a boot partition knows no others."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / name
        mode = 0o600 if is_private else path.stat().st_mode & 0o777 if path.exists() else 0o644
        write_durably(path, data, mode=mode)

    def remove(self, name: str) -> None:
        """See `Files.remove`."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder / name).unlink()
            sync(self._folder)


class IdentityFiles:
    """One unit's identity in `own`, and the technician's file `boot_name` in `boot`."""

    def __init__(self, own: Files, boot: Files, boot_name: str) -> None:
        self._own, self._boot, self._boot_name = own, boot, boot_name

    def identity(self) -> Identity | None:
        """What the unit is enrolled as; None when it is not (or what was written of it cannot be read)."""
        data = self._own.read(IDENTITY)
        if data is None or not all(self._own.read(name) for name in (CA, CERTIFICATE, REPORT_KEY)):
            return None
        try:
            return msgspec.json.decode(data, type=Identity)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("the identity cannot be read, the unit enrols anew: %s", error)
            return None

    def boot(self) -> BootSettings | None:
        """What the technician's file says; None without one. Raises ConfigurationError, EnrolmentError."""
        data = self._boot.read(self._boot_name)
        if data is None:
            return None
        if len(data) > BOOT_BYTES_MAX:
            raise ConfigurationError(self._boot_name, [f"larger than {BOOT_BYTES_MAX} bytes"])
        return boot_settings(data, name=self._boot_name)

    def keys(self) -> tuple[bytes, bytes] | None:
        """TLS key and report key of the coming request; None when they are to be made."""
        tls, report = self._own.read(TLS_KEY), self._own.read(REPORT_KEY)
        return (tls, report) if tls and report else None

    def make_keys(self) -> bool:
        """Make what is lacking; whether the report key is new, and a new chain of reports begins with it."""
        from edge.adapters.enrolment_keys import new_report_key, new_tls_key  # noqa: PLC0415 - it costs 2 MB

        is_new = not self._own.read(REPORT_KEY)
        if is_new:
            self._own.write(REPORT_KEY, new_report_key(), is_private=True)
        if not self._own.read(TLS_KEY):
            self._own.write(TLS_KEY, new_tls_key(), is_private=True)
        return is_new

    def has_report_key(self) -> bool:
        """Whether this unit has made its lasting key."""
        return bool(self._own.read(REPORT_KEY))

    def label(self) -> str:
        """What the label on the box says; empty before keys were made."""
        from edge.adapters.enrolment_keys import label_of  # noqa: PLC0415 - as in `make_keys`

        report = self._own.read(REPORT_KEY)
        return label_of(report) if report else ""

    def keep(self, certified: Certified, *, roots_pem: bytes, identity: Identity) -> None:
        """Take a certificate in; raises EnrolmentError when the disk does not."""
        try:
            self._own.write(CA, roots_pem, is_private=False)
            self._own.write(CERTIFICATE, certified.pem, is_private=True)
            self._own.write(IDENTITY, msgspec.json.encode(identity), is_private=False)
        except OSError as error:
            raise EnrolmentError(f"the certificate cannot be kept: {error}; replace the card") from error
        self.tidy(identity)

    def tidy(self, identity: Identity) -> None:
        """Wipe what is of no more use: the used claim, and the key that stands beside its certificate now."""
        self._own.remove(TLS_KEY)
        try:
            self._wipe(identity.claim_sha256)
        except (OSError, EdgeError) as error:
            log.warning(
                "không xoá được mã đăng ký trên phân vùng khởi động · the used claim code is still in %s: %s",
                self._boot_name,
                error,
            )

    def last_seen_ms(self) -> int:
        """A time that has passed for certain; 0 when none was noted."""
        text = (self._own.read(LAST_SEEN) or b"").decode("ascii", "ignore")
        return int(text) if text.isdecimal() else 0

    def note_time(self, at_ms: int) -> None:
        """Note a time that was kept by something better than this box."""
        if at_ms > self.last_seen_ms():
            with contextlib.suppress(OSError):  # a disk that can only be read keeps the old floor
                self._own.write(LAST_SEEN, str(at_ms).encode(), is_private=False)

    def _wipe(self, used_sha256: str) -> None:
        data = self._boot.read(self._boot_name)
        settings = self.boot() if data is not None else None
        if data is None or settings is None or not settings.claim:
            return
        if claim_sha256(settings.claim) == used_sha256:
            self._boot.write(self._boot_name, without_claim(data, settings.claim), is_private=False)
