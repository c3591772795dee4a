"""The broker as the command line sees it: reached or not, and how much waits in each queue."""

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.broker import KEY_PREFIX, masked, redis_url
from worker.embedded.broker import url_file_in
from worker.errors import KabarError
from worker.settings import STAGES, Settings

_QUEUES = (*STAGES, "control")


def broker_url(settings: Settings) -> str | None:
    """The broker's URL: the settings', or that of the `kabar up` on this data directory."""
    path = url_file_in(settings.data_dir)
    if settings.broker.url or not path.is_file():
        return settings.broker.url
    return path.read_text().strip()


def lengths(settings: Settings) -> dict[str, int]:
    """How many wake-ups wait in each queue.

    Raises `KabarError` when the broker cannot be asked.
    """
    url = broker_url(settings)
    if url is None:
        raise KabarError("no broker: broker.url is not set, and no `kabar up` has run here")
    try:
        with (
            Redis.from_url(
                redis_url(url),
                socket_timeout=2,
                socket_connect_timeout=2,
                retry=Retry(NoBackoff(), 0),
            ) as client,
            client.pipeline(transaction=False) as pipeline,
        ):
            for queue in _QUEUES:
                pipeline.llen(KEY_PREFIX + queue)
            return dict(zip(_QUEUES, pipeline.execute(), strict=True))
    except (RedisError, OSError, ValueError) as error:
        raise KabarError(f"the broker at {masked(url)} does not answer: {error}") from None
