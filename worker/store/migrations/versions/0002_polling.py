"""Polling: what a feed's polls have learned, and subscriptions at WebSub hubs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add what the scheduler knows; feeds that were polled before keep their entries' identity."""
    for column in _feed_columns():
        op.add_column("feeds", column)
    op.add_column("entries", sa.Column("updated_at", Time, nullable=True))
    op.add_column("entries", sa.Column("link", sa.String(length=16), nullable=True))
    op.create_index("ix_entries_link", "entries", ["feed_id", "link"])
    # Revisions were made of other parts before: an empty one is taken anew at the next poll.
    op.execute("UPDATE entries SET revision = ''")
    op.execute(
        "UPDATE entries SET link = (SELECT substr(url_key, 1, 16) FROM articles"
        " WHERE articles.id = entries.article_id AND articles.url IS NOT NULL)"
    )
    op.execute("UPDATE feeds SET identity_by = 'guid' WHERE changed_at IS NOT NULL")
    op.execute("UPDATE feeds SET succeeded_at = polled_at WHERE failures = 0")
    op.create_table(
        "former_urls",
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("feed_id", Id, nullable=False),
        sa.PrimaryKeyConstraint("url", name=op.f("pk_former_urls")),
        sa.ForeignKeyConstraint(
            ["feed_id"], ["feeds.id"], name=op.f("fk_former_urls_feed_id_feeds"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_former_urls_feed_id"), "former_urls", ["feed_id"])
    op.create_table(
        "subscriptions",
        sa.Column("feed_id", Id, autoincrement=False, nullable=False),
        sa.Column("hub", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("secret", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("asked_at", Time, nullable=False),
        sa.Column("verified_at", Time, nullable=True),
        sa.Column("lease_ends_at", Time, nullable=True),
        sa.Column("pushed_at", Time, nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("feed_id", name=op.f("pk_subscriptions")),
        sa.ForeignKeyConstraint(
            ["feed_id"],
            ["feeds.id"],
            name=op.f("fk_subscriptions_feed_id_feeds"),
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("token", name=op.f("uq_subscriptions_token")),
    )


def _feed_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("title_given", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("options", sa.JSON(), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=True),
        sa.Column("succeeded_at", Time, nullable=True),
        sa.Column("listed_at", Time, nullable=True),
        sa.Column("failure_score", sa.Double(), server_default="0", nullable=False),
        sa.Column("failing_at", Time, nullable=True),
        sa.Column("identity_by", sa.String(length=8), nullable=True),
        sa.Column("gap_seconds", sa.Double(), nullable=True),
        sa.Column("newest_at", Time, nullable=True),
        sa.Column("hint_seconds", sa.Double(), nullable=True),
        sa.Column("skip_hours", sa.JSON(), nullable=True),
        sa.Column("skip_days", sa.JSON(), nullable=True),
        sa.Column("moved_to", sa.Text(), nullable=True),
        sa.Column("moved_polls", sa.Integer(), server_default="0", nullable=False),
        sa.Column("moved_at", Time, nullable=True),
        sa.Column("schedule", sa.JSON(), nullable=True),
    ]
