"""The Celery app: queues, routes, beat schedule, and every setting with its reason.

Loaded by worker and beat alone (`kabar worker`, `kabar beat`).
"""

import gc
import os
import resource
import socket
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from celery import Celery, bootsteps, current_app, signals
from celery.beat import ScheduleEntry, Scheduler
from celery.exceptions import SecurityWarning
from kombu.entity import Exchange, Queue
from redis import Redis, RedisError
from redis.exceptions import AuthenticationError, BusyLoadingError, ResponseError
from sqlalchemy.exc import SQLAlchemyError

from worker import language, logs, notify, pulse, store, tasks
from worker.broker import KEY_PREFIX, masked, redis_url
from worker.settings import STAGES, ConfigError, Settings
from worker.store import locks, processes, schema

log = logs.get(__name__)

QUEUES_OF_ROLE = {
    "io": ("poll", "fetch", "publish", "deliver"),
    "cpu": ("process",),
    "translate": ("translate",),
    "control": (tasks.CONTROL,),
    "all": (*STAGES, tasks.CONTROL),
}
ROLES = tuple(QUEUES_OF_ROLE)

_SOCKETS = 8_192  # the usual limit of 1,024 files is less than eight batches need
_DISPATCH_SECONDS = 1.0
_SWEEP_SECONDS = 60.0


def make_app(settings: Settings) -> Celery:
    """The app for these settings.

    Raises `ConfigError` when they name no broker, or one that refuses us: Celery would try for
    ever, whatever the error is.
    """
    if settings.broker.url is None:
        raise ConfigError(
            "broker.url is not set: set KABAR_BROKER__URL, or use `kabar up`, which runs a broker"
        )
    check_broker(settings.broker.url)
    # Celery warns root of pickled messages, which we do not accept.
    warnings.simplefilter("ignore", SecurityWarning)
    app = Celery("kabar", set_as_current=True)
    app.conf.update(_configuration(settings, settings.broker.url))
    return app


def check_broker(url: str) -> None:
    """Raise `ConfigError` when the broker refuses our password; one that is down may yet come."""
    try:
        client = Redis.from_url(redis_url(url), socket_timeout=3, socket_connect_timeout=3)
    except ValueError as error:
        raise ConfigError(f"broker.url: {error}") from None
    try:
        with client:
            client.ping()
    except BusyLoadingError:
        return
    except (AuthenticationError, ResponseError) as error:
        raise ConfigError(
            f"the broker at {masked(url)} refuses us ({error}): set the right password in "
            "KABAR_BROKER__URL"
        ) from None
    except (RedisError, OSError) as error:
        log.warning("the broker does not answer yet", broker=masked(url), error=str(error))


def run_worker(settings: Settings, roles: Sequence[str], concurrency: int | None) -> int:
    """Run a worker node for `roles` until it is told to stop; returns its exit code."""
    schema.check(settings)
    app = make_app(settings)
    if "process" in (queues := _queues(roles)):
        language.load()
    _allow_sockets()
    role = "+".join(roles)
    _connect_signals(settings, role)
    app.steps["worker"].add(_heartbeat_step(settings, roles))
    # Not by Celery's command line: its import takes 10 MB and a quarter of a second more.
    node = app.Worker(
        hostname=f"{role}@{socket.gethostname()}",
        queues=queues,
        loglevel=settings.log.level.upper(),
        quiet=True,
        without_gossip=True,  # its restart after a lost connection logs tracebacks
        without_mingle=True,  # costs a second at each connect
        without_heartbeat=True,
        **_pool(settings, roles, concurrency),
    )
    # What is loaded by now stays shared with the pool processes: a collection there would write
    # to each object's header, and so copy every page.
    gc.collect()
    gc.freeze()
    node.start()
    return int(node.exitcode or 0)


def run_beat(settings: Settings) -> int:
    """Run the scheduler until it is told to stop; refuses while another one runs."""
    schema.check(settings)
    app = make_app(settings)
    _connect_signals(settings, "beat")
    engine = store.open_engine(settings, pooled=False)
    with locks.hold(engine, "beat", wait=False) as held:
        if not held:
            raise ConfigError("another `kabar beat` runs on this store; one is enough")
        WakeScheduler.wakes = tasks.Wakes(str(settings.broker.url))
        WakeScheduler.heart = _Heartbeat(settings, ["beat"])
        app.Beat(loglevel=settings.log.level.upper(), quiet=True).run()
    return 0


def waker(settings: Settings) -> Callable[[str], bool]:
    """What wakes a stage from a process that works in none; for any thread.

    Raises `ConfigError` as `make_app` does.
    """
    app = make_app(settings)
    app.set_default()  # an app is else only its own thread's
    return tasks.Wakes(str(settings.broker.url)).wake


class WakeScheduler(Scheduler):
    """Publishes a tick only when none waits, so that no queue grows while nobody works.

    In memory: due times live in the store, so there is nothing to remember.
    """

    wakes: tasks.Wakes
    heart: "_Heartbeat"

    def apply_async(self, entry: ScheduleEntry, *_: Any, **__: Any) -> None:
        """Celery's hook for an entry that is due."""
        self.wakes.wake(entry.task.removeprefix("kabar."), queue=tasks.CONTROL)
        self.heart.beat()


class _Heartbeat:
    """Writes this process's rows, and says so when it cannot."""

    def __init__(self, settings: Settings, roles: Sequence[str]) -> None:
        # Not pooled: a connection that lives while a pool process forks would be shared with it.
        self._engine = store.open_engine(settings, pooled=False)
        self._heart = processes.Heart(tuple(roles), datetime.now(UTC))
        self._data_dir = settings.data_dir
        self._due_at = 0.0

    def beat(self) -> None:
        """Write the rows when it is time to."""
        now = datetime.now(UTC).timestamp()
        if now < self._due_at:
            return
        self._due_at = now + pulse.INTERVAL_SECONDS
        try:
            self._heart.beat(self._engine)
            pulse.touch(self._data_dir, self._heart.roles)
        except SQLAlchemyError as error:
            log.warning("no heartbeat written", error=str(error).splitlines()[0])


def _heartbeat_step(settings: Settings, roles: Sequence[str]) -> type[bootsteps.StartStopStep]:
    """The worker's heartbeat: on the timer of its main loop, so that a stuck loop falls silent."""

    class HeartbeatStep(bootsteps.StartStopStep):
        requires = {"celery.worker.components:Timer"}  # noqa: RUF012 - Celery's own form

        def start(self, worker: Any) -> None:
            heart = _Heartbeat(settings, roles)
            heart.beat()
            worker.timer.call_repeatedly(1.0, heart.beat)

        def stop(self, worker: Any) -> None:
            """The timer ends with the worker."""

    return HeartbeatStep


class _Stopwatch:
    """The CPU time that each task has taken in this process; told when the process ends."""

    def __init__(self) -> None:
        self._began = 0.0
        self._runs: Counter[str] = Counter()
        self._cpu_seconds: Counter[str] = Counter()

    def connect(self) -> None:
        # weak=False: it lives in no other place than the signals.
        signals.task_prerun.connect(self._start, weak=False)
        signals.task_postrun.connect(self._stop, weak=False)
        signals.worker_process_shutdown.connect(self._tell, weak=False)

    def _start(self, **_: Any) -> None:
        self._began = time.process_time()

    def _stop(self, task: Any, **_: Any) -> None:
        self._runs[task.name] += 1
        self._cpu_seconds[task.name] += time.process_time() - self._began  # type: ignore[assignment]

    def _tell(self, **_: Any) -> None:
        for name, runs in self._runs.items():
            seconds = round(self._cpu_seconds[name], 3)
            log.info("pool process ends", task=name, runs=runs, cpu_seconds=seconds)


def _connect_signals(settings: Settings, role: str) -> None:
    def set_up_logging(**_: Any) -> None:
        logs.configure(settings.log)

    def set_up_pool_process(**_: Any) -> None:
        logs.configure(settings.log)
        current_app.log.redirect_stdouts("WARNING")  # Celery does it in the main process alone
        tasks.start(settings)

    def tear_down_pool_process(**_: Any) -> None:
        tasks.stop(settings.workers.stop_seconds / 2)

    def say_ready(**_: Any) -> None:
        log.info("ready", role=role, host=socket.gethostname(), pid=os.getpid())
        notify.ready()

    _Stopwatch().connect()
    # weak=False: these live in no other place than the signal.
    signals.setup_logging.connect(set_up_logging, weak=False)
    signals.worker_process_init.connect(set_up_pool_process, weak=False)
    signals.worker_process_shutdown.connect(tear_down_pool_process, weak=False)
    signals.worker_ready.connect(say_ready, weak=False)
    signals.beat_init.connect(say_ready, weak=False)


def _allow_sockets() -> None:
    """As many open files as the system lets us have: stragglers of several batches keep sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _SOCKETS if hard == resource.RLIM_INFINITY else min(_SOCKETS, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _queues(roles: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(queue for role in roles for queue in QUEUES_OF_ROLE[role]))


def _pool(settings: Settings, roles: Sequence[str], concurrency: int | None) -> dict[str, Any]:
    if tuple(roles) == ("control",):
        return {"pool_cls": "solo"}  # a few statements each second need no second process
    wanted = concurrency or max(
        getattr(settings.workers, role, settings.workers.io) for role in roles
    )
    return {"pool_cls": "prefork", "concurrency": wanted}


def _configuration(settings: Settings, broker_url: str) -> dict[str, Any]:
    return {
        "broker_url": broker_url,
        # The order in which broker and workers start does not matter, and no outage is too long: a
        # finite count ends the worker when it is used up.
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "socket_connect_timeout": 3,  # a dead host
            "socket_timeout": 5,  # a frozen broker: a publish fails after about twice this
            "socket_keepalive": True,  # a network that went silent
            "health_check_interval": 10,  # half-open connections are dropped
            "retry_on_timeout": True,
            "queue_order_strategy": "round_robin",  # `priority` and `sorted` starve a queue
            "global_keyprefix": KEY_PREFIX,
            "visibility_timeout": 3600,  # of no effect with early ack and no prefetch
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
        },
        "result_backend": None,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "enable_utc": True,
        "timezone": "UTC",
        # Early: a wake-up is spent when it starts; the lease in the store is what recovers. Late
        # ack with reject-on-lost would repeat a task that kills its process for ever.
        "task_acks_late": False,
        "task_reject_on_worker_lost": False,
        # Nothing is reserved, so nothing hangs in `unacked` after a kill.
        "worker_disable_prefetch": True,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,  # for late ack only
        # Fail fast: the caller goes on, and the dispatcher asks again.
        "task_publish_retry": True,
        "task_publish_retry_policy": {
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 0.2,
        },
        "task_default_queue": "poll",
        "task_queues": [
            Queue(queue, Exchange(queue, type="direct"), routing_key=queue)
            for queue in (*STAGES, tasks.CONTROL)
        ],
        "task_create_missing_queues": False,
        "task_annotations": _time_limits(settings),
        "worker_max_tasks_per_child": 500,  # leaks; a replacement costs 0.4 s once
        "worker_max_memory_per_child": 400_000,  # KiB; looked at after a task has ended
        # Our launcher owns the ladder SIGTERM, SIGQUIT, SIGKILL. A soft shutdown would sleep its
        # whole timeout even when all tasks are done.
        "worker_soft_shutdown_timeout": 0,
        "worker_enable_soft_shutdown_on_idle": False,
        "worker_send_task_events": False,  # events cost half the throughput
        "task_send_sent_event": False,
        "worker_enable_remote_control": False,  # nobody asks; `kabar health` looks at heartbeats
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": True,
        "worker_redirect_stdouts_level": "WARNING",
        "beat_scheduler": WakeScheduler,
        "beat_max_loop_interval": _DISPATCH_SECONDS,
        "beat_schedule": {
            "dispatch": {"task": "kabar.dispatch", "schedule": _DISPATCH_SECONDS},
            "sweep": {"task": "kabar.sweep", "schedule": _SWEEP_SECONDS},
        },
    }


def _time_limits(settings: Settings) -> dict[str, dict[str, float]]:
    """A hard limit for each stage: behind the batch's own deadline, before the lease ends."""
    limits = {
        f"kabar.{stage}": {"time_limit": settings.lease(stage).total_seconds() * 0.8}
        for stage in STAGES
    }
    return limits | {f"kabar.{name}": {"time_limit": 60.0} for name in ("dispatch", "sweep")}
