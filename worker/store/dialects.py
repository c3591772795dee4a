"""What SQLite and PostgreSQL both can, but SQLAlchemy offers on each one's own `insert` only."""

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from worker.store.models import Base


def insert_new(connection: Connection, model: type[Base]) -> Any:
    """An INSERT that passes over rows which are there already (ON CONFLICT DO NOTHING)."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(model).on_conflict_do_nothing()


def insert_or_update(
    connection: Connection, model: type[Base], key: str, values: dict[str, Any]
) -> Any:
    """An INSERT of `values` that overwrites the row which has the same `key`."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return (
        dialect.insert(model)
        .values(**values)
        .on_conflict_do_update(index_elements=[key], set_=values)
    )
