"""Brings the store up to date before the service starts.

    python -m worker.embedded.migrate

A process of its own: it is over within a second, and SQLAlchemy and Alembic, which nothing here
needs afterwards, would stay with `kabar up` for good (60 MB).
"""

import sys

from worker import logs
from worker.settings import load
from worker.store import StoreError, feeds, schema


def main() -> int:
    """Migrate, add the feeds of the file; an error is one line on stderr, and exit code 1."""
    settings = load()
    logs.configure(settings.log)
    try:
        schema.upgrade(settings)
        feeds.add_from_file(settings)
    except StoreError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
