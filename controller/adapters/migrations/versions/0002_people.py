"""People with their keys and sessions, API tokens, and the audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; the log begins with number 0 and a hash of zeros."""
    _make_people()
    _make_sessions()
    _make_audit()


def downgrade() -> None:
    """Forget everybody, and the log."""
    for table in (
        "audit_checkpoints",
        "audit_head",
        "audit",
        "api_tokens",
        "people_devices",
        "people_sessions",
        "people_passkeys",
        "people_recovery_codes",
        "people_grants",
        "people",
    ):
        op.drop_table(table)


def _make_people() -> None:
    op.create_table(
        "people",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("title", sa.String(80), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("handle", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("totp_sealed", sa.LargeBinary, nullable=False),
        sa.Column("totp_step", sa.BigInteger, nullable=False),
        sa.Column("invite_sha256", sa.LargeBinary, nullable=False),
        sa.Column("invite_until_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "people_grants",
        sa.Column("person", sa.String(40), sa.ForeignKey("people.name"), primary_key=True),
        sa.Column("role", sa.String(16), primary_key=True),
        sa.Column("area", sa.String(40), primary_key=True),
    )
    op.create_table(
        "people_recovery_codes",
        sa.Column("person", sa.String(40), sa.ForeignKey("people.name"), primary_key=True),
        sa.Column("sha256", sa.LargeBinary, primary_key=True),
    )
    op.create_table(
        "people_passkeys",
        sa.Column("credential_id", sa.LargeBinary, primary_key=True),
        sa.Column("person", sa.String(40), sa.ForeignKey("people.name"), nullable=False, index=True),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("sign_count", sa.BigInteger, nullable=False),
        sa.Column("title", sa.String(80), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("used_at_ms", sa.BigInteger, nullable=False),
    )


def _make_sessions() -> None:
    op.create_table(
        "people_sessions",
        sa.Column("id_sha256", sa.LargeBinary, primary_key=True),
        sa.Column("person", sa.String(40), sa.ForeignKey("people.name"), nullable=False, index=True),
        sa.Column("begun_at_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger, nullable=False, index=True),
        sa.Column("proven_at_ms", sa.BigInteger, nullable=True),
        sa.Column("is_partial", sa.Boolean, nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(120), nullable=False),
    )
    op.create_table(
        "people_devices",
        sa.Column("person", sa.String(40), sa.ForeignKey("people.name"), primary_key=True),
        sa.Column("device_sha256", sa.LargeBinary, primary_key=True),
        sa.Column("seen_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("secret_sha256", sa.LargeBinary, nullable=False),
        sa.Column("title", sa.String(80), nullable=False),
        sa.Column("person", sa.String(40), nullable=False, index=True),
        sa.Column("grants", sa.Text, nullable=False),
        sa.Column("acts_alone", sa.Boolean, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger, nullable=False),
        sa.Column("used_at_ms", sa.BigInteger, nullable=False),
    )


def _make_audit() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "audit",
        sa.Column("number", number, primary_key=True, autoincrement=False),
        sa.Column("previous_sha256", sa.LargeBinary, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("what", sa.String(64), nullable=False),
        sa.Column("place", sa.String(40), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("detail", sa.String(300), nullable=False),
    )
    op.create_index("audit_by_who", "audit", ["who", "number"])
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
    )
    op.bulk_insert(head, [{"id": 1, "number": 0, "sha256": bytes(32)}])
    op.create_table(
        "audit_checkpoints",
        sa.Column("number", number, primary_key=True, autoincrement=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
    )
