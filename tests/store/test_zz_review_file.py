"""apply_file with 100,000 feeds on both databases: how long the write transaction lasts when one line changes."""
import time, sys
import pytest
from tests.store.rows import rows
from worker.store import feeds
from worker.store import sessions
N = 100_000
def write(path, n, extra=""):
    path.write_text("".join(f'[[feeds]]\nurl = "https://site{i}.example.com/feed.xml"\ntags = ["a"]\n' for i in range(n)) + extra)
def test_it(engine, tmp_path, capsys, monkeypatch):
    path = tmp_path/"feeds.toml"
    real = feeds.writing
    from contextlib import contextmanager
    spent = []
    @contextmanager
    def timed(e):
        with real(e) as c:
            t = time.monotonic()
            yield c
            spent.append(time.monotonic()-t)
    monkeypatch.setattr(feeds, "writing", timed)
    write(path, N)
    t=time.monotonic(); r=feeds.apply_file(engine, path); a=time.monotonic()-t
    write(path, N, '[[feeds]]\nurl = "https://new.example.com/feed"\n')
    t=time.monotonic(); r2=feeds.apply_file(engine, path); b=time.monotonic()-t
    with capsys.disabled(): print("\n", engine.dialect.name, r, f"first {a:.1f}s (in transaction {spent[0]:.1f})", r2, f"one line more {b:.1f}s (in transaction {spent[1]:.1f})")
