"""What SQLite and PostgreSQL both can, but SQLAlchemy offers on each one's own `insert` only."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Connection, FromClause, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from worker.store.models import Base, PlainText


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


@dataclass(frozen=True, slots=True)
class Given:
    """A column of a given table: its name, and `int` or `str`."""

    name: str
    kind: type[int] | type[str]


@dataclass(frozen=True, slots=True)
class GivenTable:
    """Rows that a statement is given to join with; `parameters` makes its parameters of them."""

    table: FromClause
    columns: tuple[Given, ...]
    is_json: bool

    def parameters(self, rows: Sequence[tuple[int | str, ...]]) -> dict[str, Any]:
        """The parameters for these rows, each as long as there are columns."""
        if self.is_json:
            return {"given": json.dumps(rows)}
        columns = zip(*rows, strict=True) if rows else [()] * len(self.columns)
        return {
            f"given_{column.name}": list(values)
            for column, values in zip(self.columns, columns, strict=True)
        }


def given(dialect: str, *columns: Given) -> GivenTable:
    """A table of as many rows as one likes that is one parameter (SQLite: JSON) or one a column
    (PostgreSQL: arrays).

    An IN with a thousand pairs is another statement for each number of them, which takes SQLAlchemy
    and both databases ten times as long to render, parse and plan as to look the rows up.
    """
    is_json = dialect == "sqlite"
    return GivenTable(_json(columns) if is_json else _arrays(columns), columns, is_json)


def _json(columns: Sequence[Given]) -> FromClause:
    rows = func.json_each(bindparam("given")).table_valued("value")
    return select(
        *(
            func.json_extract(rows.c.value, f"$[{number}]", type_=_TYPES[column.kind]).label(
                column.name
            )
            for number, column in enumerate(columns)
        )
    ).subquery("given")


def _arrays(columns: Sequence[Given]) -> FromClause:
    arrays = [
        bindparam(f"given_{column.name}", type_=postgresql.ARRAY(_TYPES[column.kind]))
        for column in columns
    ]
    names = [column.name for column in columns]
    return func.unnest(*arrays).table_valued(*names, name="given").render_derived()


_TYPES: dict[type, Any] = {int: BigInteger(), str: PlainText()}
