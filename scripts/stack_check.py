"""Run docker-compose.yml for real: build the image, start the stack, and send it through what a
service goes through, with a sample newsroom and a receiver outside it.

The stack comes up, alerts, is scaled, loses a worker to kill -9, is stopped and started again, and
ends; each story must be alerted once. It runs under a project name of its own, with secrets and
settings of its own, and leaves neither container nor volume.

`--runner PROGRAM` (or STACK_RUNNER) is for a machine whose engine is not Docker. It is called as
`PROGRAM build` where the Dockerfile is, as `PROGRAM compose ARGUMENTS…`, and as `PROGRAM down` at
the end. Without one, `docker compose` is called.
"""

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from worker.demo.agenda import Step, agenda
from worker.demo.ledger import Ledger
from worker.demo.newsroom import Newsroom
from worker.demo.receiver import Receiver
from worker.webhooks import generate_secret

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "kabar-check"
STORIES = 16  # with a few repeats and updates among them
EVERY_SECONDS = 1.5
SETTLE_SECONDS = 3.0  # in which a second alert for the same story would still come
COMMAND_SECONDS = 300

CONFIG = """\
[http]
allow_networks = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]  # wherever the bridge is
timeout_seconds = 3

[poll]
interval_seconds = 1
min_interval_seconds = 1
max_interval_seconds = 1
backfill_alerts = true

[politeness]  # towards sites of our own, which share one host
at_once = 64
spacing_seconds = 0

[fetch]
retry_seconds = [1, 2, 4, 8]

[webhooks]
timeout_seconds = 3
retry_seconds = [1, 2, 4, 8, 8, 8, 8, 8, 8, 8]

[leases]  # short, so that what a killed process held is soon free
poll = 8
fetch = 8
process = 8
translate = 8
publish = 8
deliver = 8
"""

# Run inside a container.
GATEWAY = """
import ipaddress
for line in list(open("/proc/net/route"))[1:]:
    _, network, gateway, *_ = line.split()
    if network == "00000000":
        print(ipaddress.ip_address(bytes.fromhex(gateway)[::-1]))
"""
CONFINEMENT = """
import os
print(os.getuid(), [line.split()[1] for line in open("/proc/self/status") if "CapEff" in line])
try:
    open("/srv/kabar/file", "w")
except OSError as error:
    print(error.strerror)
"""
CONFINED = "10001 ['0000000000000000']\nRead-only file system\n"
# Of the container's first process, which only waits for it.
KILL_MAIN = """
import os
os.kill(int(open("/proc/1/task/1/children").read().split()[0]), 9)
"""


class CheckError(Exception):
    """The stack did not do what it is to do; the message says what."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--runner", default=os.environ.get("STACK_RUNNER"), help="see the top")
    parser.add_argument("--no-build", action="store_true", help="take the image that is there")
    arguments = parser.parse_args()
    runner = str(Path(arguments.runner).resolve()) if arguments.runner else None
    try:
        return asyncio.run(check(runner, build=not arguments.no_build))
    except asyncio.CancelledError:
        print("stack: interrupted", file=sys.stderr)
        return 130
    except (CheckError, TimeoutError, OSError) as error:
        print(f"stack: FAILED: {error or type(error).__name__}", file=sys.stderr)
        return 1


async def check(runner: str | None, *, build: bool) -> int:
    this = asyncio.current_task()
    assert this is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, this.cancel)
    with tempfile.TemporaryDirectory(prefix="kabar-stack-") as name:
        stack = Stack(runner, Path(name))
        await stack.write_project()
        if build:
            say(f"image built in {await timed(stack.build()):.0f} s")
        try:
            await walk(stack)
        except BaseException:
            await stack.show_state()
            raise
        finally:
            await stack.end()
    print("stack: ok")
    return 0


async def walk(stack: "Stack") -> None:
    """What the stack goes through."""
    await refuse_unreadable_secret(stack)

    started_at = time.monotonic()
    await stack.up()
    say(f"up, all healthy: {time.monotonic() - started_at:.1f} s")
    if (seen := await stack.python("control", CONFINEMENT)) != CONFINED:
        raise CheckError(f"control is not confined: {seen!r}")
    gateway = (await stack.python("io", GATEWAY)).strip()

    async with outside(gateway) as press:
        await press.follow(stack)
        published_at = time.monotonic()
        press.publish(2)
        await press.until(lambda: press.ledger.arrivals, "a first alert")
        now = time.monotonic()
        say(f"up to first alert: {now - started_at:.1f} s ({now - published_at:.1f} s of it "
                    "from its publication)")  # fmt: skip

        async with press.going_on(6):
            seconds = await timed(stack.up("--scale", "cpu=4", "--scale", "io=2"))
            say(f"--scale cpu=4 --scale io=2: {seconds:.1f} s")
        async with press.going_on(4):
            seconds = await timed(kill_and_wait(stack, "io"))
            say(f"an io worker, killed -9, healthy again: {seconds:.1f} s")
        await press.until(press.is_all_told, "an alert for each story", seconds=60)

        say(f"stop: {await timed(stack.compose('stop')):.1f} s")
        before = len(press.ledger.arrivals)
        press.publish(2)
        again_at = datetime.now(UTC)
        await asyncio.gather(stack.up(), press.until(press.is_all_told, "the alerts", seconds=120))
        first = press.ledger.arrivals[before].alert
        seconds = (first.received_at - again_at).total_seconds()
        say(f"started again, to first alert: {seconds:.1f} s")

        press.publish(None)
        await press.until(press.is_all_told, "an alert for each story", seconds=60)
        await asyncio.sleep(SETTLE_SECONDS)
        say(f"down: {await timed(stack.compose('down', '--volumes')):.1f} s")
        await press.until(press.is_all_told, "no alert but those")
        press.report()


def say(text: str) -> None:
    print(f"stack: {text}", flush=True)


async def timed(work: Awaitable[object]) -> float:
    """Seconds that `work` took."""
    started_at = time.monotonic()
    await work
    return time.monotonic() - started_at


async def refuse_unreadable_secret(stack: "Stack") -> None:
    """A secret that only the file's owner may read must be told in plain words."""
    secret = stack.directory / "secrets" / "store-url"
    mode = secret.stat().st_mode
    secret.chmod(0o600)
    done = await stack.run("compose", "run", "--rm", "--no-deps", "migrate", check=False)
    secret.chmod(mode)
    if "user 10001 may not read it" not in done.output:  # podman's socket hides the exit code
        raise CheckError(f"an unreadable secret: {done.output!r}")


async def kill_and_wait(stack: "Stack", service: str) -> None:
    """Kill the main process of a service's first container; return once it is healthy again."""
    # What is in /tmp is gone with the container's processes.
    await stack.python(service, "open('/tmp/before', 'w')")
    await stack.run("compose", "exec", "-T", service, "python3", "-c", KILL_MAIN, check=False)
    again = "import os, sys; sys.exit(os.path.exists('/tmp/before'))"
    async with asyncio.timeout(60):
        for command in (("python3", "-c", again), ("kabar", "health", service)):
            arguments = ("compose", "exec", "-T", service, *command)
            while (await stack.run(*arguments, check=False)).code:  # noqa: ASYNC110
                await asyncio.sleep(0.2)


@dataclass(frozen=True)
class Done:
    code: int
    output: str


class Stack:
    """The compose file in a project directory of its own."""

    def __init__(self, runner: str | None, directory: Path) -> None:
        self._runner = runner
        self.directory = directory

    async def write_project(self) -> None:
        """The compose file, new secrets, and settings that make things go quickly."""
        shutil.copy(ROOT / "docker-compose.yml", self.directory)
        for folder in ("config", "scripts"):
            (self.directory / folder).mkdir()
        (self.directory / "config" / "kabar.toml").write_text(CONFIG)
        shutil.copy(ROOT / "scripts" / "secrets.sh", self.directory / "scripts")
        await self._execute("sh", "scripts/secrets.sh")

    async def build(self) -> None:
        command = (self._runner, "build") if self._runner else ("docker", "compose", "build")
        await self._execute(*command, directory=ROOT)

    async def up(self, *arguments: str) -> None:
        """Start what is not running; return once all of it is healthy."""
        await self.compose("up", "-d", "--no-build", "--pull", "never",
                           "--wait", "--wait-timeout", "180", *arguments)  # fmt: skip

    async def compose(self, *arguments: str) -> str:
        """A compose command's output. Raises `CheckError` when it fails."""
        return (await self.run("compose", *arguments)).output

    async def python(self, service: str, code: str) -> str:
        """What Python code printed in a service's first container."""
        return await self.compose("exec", "-T", service, "python3", "-c", code)

    async def kabar(self, *arguments: str) -> str:
        """What a command of ours printed in the stack."""
        return await self.compose("exec", "-T", "io", "kabar", *arguments)

    async def run(self, *arguments: str, check: bool = True) -> Done:
        command = (self._runner, *arguments) if self._runner else ("docker", *arguments)
        return await self._execute(*command, check=check)

    async def show_state(self) -> None:
        for arguments in (("ps", "--all"), ("logs", "--no-color", "--tail", "25")):
            done = await self.run("compose", *arguments, check=False)
            print(done.output, file=sys.stderr)

    async def end(self) -> None:
        arguments = ("down",) if self._runner else ("compose", "down", "--volumes")
        await self.run(*arguments, check=False)

    async def _execute(
        self, *command: str | None, directory: Path | None = None, check: bool = True
    ) -> Done:
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            cwd=directory or self.directory,
            env=os.environ | {"COMPOSE_PROJECT_NAME": PROJECT, "WEB_PORT": "0"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(COMMAND_SECONDS):
            out, err = await process.communicate()
        done = Done(await process.wait(), out.decode())
        if check and done.code:
            last = "\n".join(err.decode().splitlines()[-15:])
            raise CheckError(f"{' '.join(map(str, command))}: exit code {done.code}\n{last}")
        return done if check else Done(done.code, done.output + err.decode())


@asynccontextmanager
async def outside(address: str) -> AsyncIterator["Press"]:
    """The newsroom and the receiver, at an address that the stack reaches."""
    secret = generate_secret()
    async with Newsroom(host=address) as newsroom, Receiver(secret, host=address) as receiver:
        press = Press(newsroom, receiver, secret)
        task = asyncio.create_task(press.keep_books())
        try:
            yield press
        finally:
            task.cancel()


@dataclass
class Press:
    """What happens outside the stack."""

    newsroom: Newsroom
    receiver: Receiver
    secret: str
    ledger: Ledger = field(init=False)
    stories: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(lambda: self.newsroom.publications)
        self._steps = agenda(1, STORIES)

    async def follow(self, stack: Stack) -> None:
        """Tell the stack of the newsroom's feeds and of the receiver."""
        flags = ("--secret", self.secret, "--allow-private", "--allow-http")
        await stack.kabar("endpoints", "add", "check", self.receiver.url, *flags)
        for url in self.newsroom.feed_urls:
            await stack.kabar("feeds", "add", url, "--no-discover")

    async def keep_books(self) -> None:
        while True:
            self.ledger.add(await self.receiver.arrivals.get())

    def publish(self, steps: int | None) -> None:
        """Take the agenda's next steps; all that are left with None."""
        for step in islice(self._steps, steps):
            self._take(step)

    @asynccontextmanager
    async def going_on(self, steps: int) -> AsyncIterator[None]:
        """Take the agenda's next steps, one after the other, while the block runs."""

        async def take() -> None:
            for step in islice(self._steps, steps):
                self._take(step)
                await asyncio.sleep(EVERY_SECONDS)

        async with asyncio.TaskGroup() as group:
            group.create_task(take())
            yield

    def is_all_told(self) -> bool:
        """Whether each story was alerted, and each repeat and update read."""
        seen = all(map(self.newsroom.seen, self.newsroom.publications))
        return seen and len(self.ledger.arrivals) == self.stories

    async def until(self, condition: Callable[[], object], what: str, seconds: float = 30) -> None:
        """Wait until `condition` holds; whatever is wrong with the alerts ends the check."""
        deadline = time.monotonic() + seconds
        while not condition():
            self._refuse_problems()
            if time.monotonic() > deadline:
                alerts = len(self.ledger.arrivals)
                raise CheckError(f"not within {seconds:g} s: {what} ({alerts} of {self.stories})")
            await asyncio.sleep(0.05)
        self._refuse_problems()

    def report(self) -> None:
        publications = len(self.newsroom.publications)
        say(
            f"{self.stories} stories in {publications} articles, {len(self.ledger.arrivals)} "
            f"alerts, {self.receiver.repeats} of them delivered again; publication to alert "
            f"{self.ledger.latency_seconds(0.5):.1f} s (median)"
        )

    def _take(self, step: Step) -> None:
        acts = {
            "publish": self.newsroom.publish,
            "repeat": self.newsroom.repeat,
            "update": self.newsroom.update,
        }
        acts[step.act](step.article)
        self.stories += step.act == "publish"

    def _refuse_problems(self) -> None:
        problems = [*self.receiver.problems, *self.ledger.problems, *self._without_page()]
        if problems:
            raise CheckError(problems[0])

    def _without_page(self) -> Iterator[str]:
        # A service that cannot reach the sites at all would alert all the same.
        for arrival in self.ledger.arrivals:
            for degradation in arrival.alert.data["article"]["degradations"]:
                if degradation["stage"] == "fetch":
                    yield f"{arrival.publication.url}: alerted without its page: {degradation}"


if __name__ == "__main__":
    sys.exit(main())
