"""The tables of people, their keys, and the audit log, as SQLAlchemy sees them; the migrations make them.

Rules kept: no table holds a secret that opens anything by itself (see `controller.people.model`); a grant stands in
rows, not in JSON, so that who may do what in an area can be asked with plain SQL.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from controller.adapters.database_tables import METADATA

PEOPLE: Final = Table(
    "people",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("title", String(80), nullable=False),
    Column("state", String(16), nullable=False),
    Column("handle", LargeBinary, nullable=False, unique=True),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("password_hash", String(255), nullable=False),
    Column("totp_sealed", LargeBinary, nullable=False),
    Column("totp_step", BigInteger, nullable=False),
    Column("invite_sha256", LargeBinary, nullable=False),
    Column("invite_until_ms", BigInteger, nullable=False),
)
GRANTS: Final = Table(
    "people_grants",
    METADATA,
    Column("person", String(40), ForeignKey("people.name"), primary_key=True),
    Column("role", String(16), primary_key=True),
    Column("area", String(40), primary_key=True),
)
RECOVERY_CODES: Final = Table(
    "people_recovery_codes",
    METADATA,
    Column("person", String(40), ForeignKey("people.name"), primary_key=True),
    Column("sha256", LargeBinary, primary_key=True),
)
PASSKEYS: Final = Table(
    "people_passkeys",
    METADATA,
    Column("credential_id", LargeBinary, primary_key=True),
    Column("person", String(40), ForeignKey("people.name"), nullable=False, index=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("title", String(80), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("used_at_ms", BigInteger, nullable=False),
)
SESSIONS: Final = Table(
    "people_sessions",
    METADATA,
    Column("id_sha256", LargeBinary, primary_key=True),
    Column("person", String(40), ForeignKey("people.name"), nullable=False, index=True),
    Column("begun_at_ms", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False, index=True),
    Column("proven_at_ms", BigInteger, nullable=True),
    Column("is_partial", Boolean, nullable=False),
    Column("address", String(64), nullable=False),
    Column("agent", String(120), nullable=False),
)
DEVICES: Final = Table(
    "people_devices",
    METADATA,
    Column("person", String(40), ForeignKey("people.name"), primary_key=True),
    Column("device_sha256", LargeBinary, primary_key=True),
    Column("seen_at_ms", BigInteger, nullable=False),
)
TOKENS: Final = Table(
    "api_tokens",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("title", String(80), nullable=False),
    Column("person", String(40), nullable=False, index=True),
    Column("grants", Text, nullable=False),
    Column("acts_alone", Boolean, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("used_at_ms", BigInteger, nullable=False),
)
AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("previous_sha256", LargeBinary, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("who", String(64), nullable=False),
    Column("what", String(64), nullable=False),
    Column("place", String(40), nullable=False),
    Column("address", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("detail", String(300), nullable=False),
    Index("audit_by_who", "who", "number"),
)
AUDIT_HEAD: Final = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
)
AUDIT_CHECKPOINTS: Final = Table(
    "audit_checkpoints",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)
