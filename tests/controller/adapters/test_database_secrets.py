"""What a database refuses is said without the values: a hash or a sealed secret stands in no traceback."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
import sqlalchemy as sa

from controller.adapters.database import open_database
from controller.errors import DatabaseError


async def test_no_value_stands_in_an_error_or_in_its_traceback(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path / 'c.sqlite'}")
    secret = "argon2id-hash-of-lan"
    with pytest.raises(DatabaseError) as refused:
        async with database.connection() as connection:
            await connection.execute(sa.text("INSERT INTO nothing VALUES (:hash)"), {"hash": secret})
    await database.close()
    assert secret not in "".join(traceback.format_exception(refused.value))
