"""Brings the store up to date before the service starts.

    python -m worker.embedded.migrate

A process of its own: it is over within a second, and SQLAlchemy and Alembic, which nothing here
needs afterwards, would stay with `kabar up` for good (60 MB).
"""

import sys

from worker import logs
from worker.errors import KabarError
from worker.settings import load
from worker.store import feeds, open_engine, schema


def main() -> int:
    """Migrate, and apply the feeds file; an error is one line on stderr, and exit code 1."""
    settings = load()
    logs.configure(settings.log)
    try:
        schema.upgrade(settings)
        feeds.apply_file(open_engine(settings, pooled=False), settings.feeds_file)
    except KabarError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
