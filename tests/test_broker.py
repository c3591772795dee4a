import pytest
from redis import Redis

from worker.broker import masked, redis_url


@pytest.mark.parametrize(
    ("url", "path", "database", "password"),
    [
        ("redis+socket:///run/kabar.sock", "/run/kabar.sock", 0, None),
        ("redis+socket:///run/kabar.sock?virtual_host=2", "/run/kabar.sock", 2, None),
        ("redis+socket://:p%40ss@/run/kabar.sock?virtual_host=1", "/run/kabar.sock", 1, "p@ss"),
    ],
)
def test_a_socket_in_the_words_of_redis(
    url: str, path: str, database: int, password: str | None
) -> None:
    pool = Redis.from_url(redis_url(url)).connection_pool
    found = pool.connection_kwargs
    assert (found["path"], found["db"], found.get("password")) == (path, database, password)


@pytest.mark.parametrize("url", ["redis://h:6379/0", "rediss://:pw@h/1", "unix:///x?db=1", ""])
def test_other_urls_stay_as_they_are(url: str) -> None:
    assert redis_url(url) == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("redis://user@h/0", "redis://user@h/0"),
        ("redis://:hunter2@h:6379/0", "redis://:***@h:6379/0"),
        ("redis://user:hunter2@h/0", "redis://user:***@h/0"),
        ("redis://:hunter2@@h/", "redis://:***@h/"),
        ("redis://:hunter2/#?@h/", "redis://:***@h/"),
        ("redis://:hunter2@[::1/", "redis://:***@[::1/"),
        ("redis+socket://:hunter2@/run/x.sock", "redis+socket://:***@/run/x.sock"),
        ("postgresql:///db?password=hunter2&host=/run", "postgresql:///db?password=***&host=/run"),
        ("postgresql://h/db?sslpassword=hunter2", "postgresql://h/db?sslpassword=***"),
        ("not a url", "not a url"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    assert masked(url) == shown
