"""Alembic's entry: runs the migrations on the connection that `worker.store.schema` hands in."""

from alembic import context

from worker.store.models import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=False,  # the caller's transaction holds it all
)
with context.begin_transaction():
    context.run_migrations()
