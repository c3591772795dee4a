"""Webhooks: rules, secrets that are rotated, deliveries that are replayed."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add what endpoints, deliveries and attempts have learned to say."""
    op.add_column("endpoints", sa.Column("old_secrets", sa.JSON(), nullable=True))
    op.add_column("endpoints", sa.Column("rules", sa.JSON(), nullable=True))
    op.add_column("deliveries", sa.Column("body", sa.LargeBinary(), nullable=True))
    op.add_column(
        "deliveries",
        sa.Column("earlier_attempts", sa.Integer(), server_default="0", nullable=False),
    )
    op.add_column("attempts", sa.Column("duration_seconds", sa.Double(), nullable=True))
    op.create_table(
        "awaited",
        sa.Column("story_id", Id, nullable=False),
        sa.Column("endpoint_id", Id, nullable=False),
        sa.Column("min_sources", sa.Integer(), nullable=False),
        sa.Column("verdicts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("story_id", "endpoint_id", name=op.f("pk_awaited")),
        sa.ForeignKeyConstraint(
            ["story_id"],
            ["stories.id"],
            name=op.f("fk_awaited_story_id_stories"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["endpoints.id"],
            name=op.f("fk_awaited_endpoint_id_endpoints"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(op.f("ix_awaited_endpoint_id"), "awaited", ["endpoint_id"])
