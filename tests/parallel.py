"""The same work in many processes at once, to see whether they get in each other's way."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar

T = TypeVar("T")

# Not `fork`: a child would inherit pytest's threads' locks and its servers' pipes.
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.conftest", "tests.parallel", "worker.store.claims"])

_barrier: Barrier | None = None


def in_processes(count: int, work: Callable[..., T], *arguments: Any) -> list[T]:
    """What `work(*arguments)` returned in each of `count` processes that began at one moment.

    `work` is a function of a module. What it raises in a process is raised here.
    """
    with ProcessPoolExecutor(count, _CONTEXT, _meet_at, (_CONTEXT.Barrier(count),)) as pool:
        running = [pool.submit(_begin_together, work, arguments) for _ in range(count)]
        return [future.result(timeout=100) for future in running]


def _meet_at(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603 (a barrier reaches a process only when that starts)
    _barrier = barrier


def _begin_together(work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    assert _barrier is not None
    _barrier.wait(60)
    return work(*arguments)
