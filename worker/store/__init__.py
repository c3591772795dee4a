"""The store: the truth about all work (design, invariant 1).

`models` the tables, `schema` their migrations, `sessions` engines and transactions, `claims` who
works on what, `locks` what is held for a process's life. Then one module of statements a room:
each executes the outcomes which that room decides, in one transaction.
"""

from worker.store.sessions import StoreError, open_engine, reading, writing

__all__ = ["StoreError", "open_engine", "reading", "writing"]
