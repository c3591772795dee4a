"""A child to be supervised, as good or bad as the test wants it. Needs no site-packages."""

import argparse
import ctypes
import os
import signal
import socket
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def main() -> None:
    options = parse()
    if options.no_death_signal:
        death_signal(0)
    if options.crash is not None:
        sys.exit(options.crash)
    signal.signal(signal.SIGTERM, lambda number, frame: end(options))
    # A shell has what it runs in the background ignore this one, tests too.
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if options.deaf:
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    for _ in range(options.pool):
        if os.fork() == 0:
            # As Celery's pool processes: they do nothing about signals, but die with their parent.
            death_signal(0 if options.no_death_signal else signal.SIGKILL)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            work(options)
    if options.say_hex:
        os.write(1, bytes.fromhex(Path(options.say_hex).read_text()))
    if not options.never_ready:
        ready()
    if options.end_after is not None:
        time.sleep(options.end_after)
        sys.exit(1)
    work(options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--mark", help="file that takes the name when SIGTERM ends this process")
    parser.add_argument("--code", type=int, default=0, help="exit code after SIGTERM")
    parser.add_argument("--linger", type=float, default=0, help="seconds from SIGTERM to the end")
    parser.add_argument("--crash", type=int, help="end with this code before being ready")
    parser.add_argument("--end-after", type=float, help="end with 1 so many seconds after ready")
    parser.add_argument("--never-ready", action="store_true")
    parser.add_argument("--deaf", action="store_true", help="ignore every signal that can be")
    parser.add_argument("--spin", action="store_true", help="keep the CPU busy instead of sleeping")
    parser.add_argument("--pool", type=int, default=0, help="processes to fork")
    parser.add_argument("--no-death-signal", action="store_true", help="as where there is none")
    parser.add_argument("--say-hex", help="file of bytes, in hexadecimal, to write to the output")
    return parser.parse_args()


def death_signal(number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def ready() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])


def end(options: argparse.Namespace) -> None:
    time.sleep(options.linger)
    if options.mark:
        with Path(options.mark).open("a") as file:
            file.write(options.name + "\n")
    os._exit(options.code)


def work(options: argparse.Namespace) -> None:
    until = time.monotonic() + 600
    while time.monotonic() < until:
        if not options.spin:
            time.sleep(600)


if __name__ == "__main__":
    main()
