"""What a page says of its article, translations that come later, stories that change, and
endpoints that rest.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the columns, and the table of translated texts."""
    for table, columns in _columns().items():
        for added in columns:
            op.add_column(table, added)
    for table, column in (("articles", "translate_by"), ("stories", "update_due_at")):
        condition = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_{table}_{column}",
            table,
            [column],
            sqlite_where=condition,
            postgresql_where=condition,
        )
    untranslated = sa.text("translation_reason IS NOT NULL")
    op.create_index(
        "ix_articles_untranslated",
        "articles",
        ["language", "first_seen_at"],
        sqlite_where=untranslated,
        postgresql_where=untranslated,
    )
    pending = sa.text("state = 'pending'")
    op.drop_index("ix_deliveries_due", "deliveries")
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["endpoint_id", "due_at", "id"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
    op.create_table(
        "cached_translations",
        sa.Column("engine", sa.String(length=32), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("source", sa.String(length=35), nullable=False),
        sa.Column("target", sa.String(length=35), nullable=False),
        sa.Column("text_hash", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.PrimaryKeyConstraint(
            "engine", "model", "source", "target", "text_hash",
            name=op.f("pk_cached_translations"),
        ),
    )  # fmt: skip
    op.create_index("ix_cached_translations_created_at", "cached_translations", ["created_at"])


def _columns() -> dict[str, list[sa.Column[Any]]]:
    return {
        "articles": [
            sa.Column("modified_at", Time, nullable=True),
            sa.Column("lead", sa.Text(), nullable=True),
            sa.Column("editor", sa.Text(), nullable=True),
            sa.Column("credited_sources", sa.JSON(), nullable=True),
            sa.Column("dateline", sa.Text(), nullable=True),
            sa.Column("section", sa.Text(), nullable=True),
            sa.Column("tags", sa.JSON(), nullable=True),
            sa.Column("translate_by", Time, nullable=True),
            sa.Column("translation_reason", sa.String(length=32), nullable=True),
        ],
        "stories": [
            sa.Column("update_due_at", Time, nullable=True),
            sa.Column("changes", sa.JSON(), nullable=True),
            sa.Column("updates", sa.Integer(), server_default="0", nullable=False),
        ],
        "endpoints": [
            sa.Column("kind", sa.String(length=16), server_default="webhook", nullable=False),
            sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
            sa.Column("failing_at", Time, nullable=True),
            sa.Column("resting_until", Time, nullable=True),
            sa.Column("rests", sa.Integer(), server_default="0", nullable=False),
            sa.Column("max_per_minute", sa.Integer(), nullable=True),
            sa.Column("rate_next_at", Time, nullable=True),
        ],
    }
