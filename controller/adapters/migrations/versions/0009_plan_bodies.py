"""Bodies of large plans, beside the documents that name them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room for them."""
    op.add_column("documents", sa.Column("body", sa.LargeBinary, nullable=True))


def downgrade() -> None:
    """Forget them: their plans are compiled anew."""
    op.execute("DELETE FROM documents WHERE body IS NOT NULL")
    with op.batch_alter_table("documents") as documents:
        documents.drop_column("body")
