"""Runs one command that must not outlive the process that started it.

    python -I -S -E guard.py PARENT REAPER_FD COMMAND [ARGUMENT …]

`kabar up` starts everything through this. It is an extra `exec` rather than `preexec_fn`, because
`preexec_fn` runs Python between fork and exec, which can deadlock once there are threads (one
migrates the store meanwhile). It costs 15 ms, most of them the interpreter's own start, and
nothing afterwards: the command takes its place, with the same process id.
"""

import os
import sys

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def main(parent: int, reaper_fd: int, command: list[str]) -> None:
    """Tie this process to `parent`, tell the reaper of it, and become `command`."""
    if sys.platform == "linux":
        _die_with_parent()
    if os.getppid() != parent:  # it ended before it could be asked to take us along
        os._exit(1)
    _register(reaper_fd)
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        os.write(2, f"kabar: {command[0]} cannot be run: {error.strerror}\n".encode())
        os._exit(127)


def _die_with_parent() -> None:
    import ctypes  # 4 ms that other systems need not pay

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def _register(reaper_fd: int) -> None:
    """Before the exec, so that no moment is left in which a group exists unknown to the reaper."""
    try:
        os.write(reaper_fd, b"+%d\n" % os.getpid())
    except OSError:
        # The reaper is being replaced; the new one is told of us by our parent.
        os.close(reaper_fd)
    else:
        os.set_inheritable(reaper_fd, False)  # held by a child, it would never reach its end


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
