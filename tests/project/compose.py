"""What the compose schema cannot see in docker-compose.yml: whether what it names is there, and our
own rules for its services.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from worker import settings

OURS = "kabar"
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
DURATION = re.compile(r"(\d+(\.\d+)?(ms|us|h|m|s))+")
SIZE = re.compile(r"\d+(\.\d+)?([bkmg]|[kmg]b)?", re.IGNORECASE)
NUMBER = re.compile(r"\d+(\.\d+)?")
# `$NAME`, or `${NAME…}` without a default; `$$` is a dollar.
NEEDED = re.compile(r"(?<!\$)\$(?:(\w+)|\{(\w+)(?!:?-|\w))")

Service = Mapping[str, Any]
Document = Mapping[str, Any]


def problems(path: Path) -> list[str]:
    """All that is wrong with the file, a line each."""
    text = path.read_text()
    document = YAML(typ="safe", pure=True).load(text)
    found = [f"{name or braced}: no default" for name, braced in NEEDED.findall(text)]
    found += _unused(document)
    for name, service in document["services"].items():
        for check in (
            *(_named, _waits_for, _cycle, _times_and_sizes, _healthcheck),
            *(_long_running, _scalable, _our_command),
        ):
            found += [f"{name}: {problem}" for problem in check(document, name, service)]
    return found


def _unused(document: Document) -> Iterator[str]:
    for kind in ("secrets", "volumes", "networks"):
        used = {name for one in document["services"].values() for name in _names(one, kind)}
        for name in document.get(kind, {}).keys() - used:
            yield f"{kind}: {name} is of no use"


def _names(service: Service, kind: str) -> Iterator[str]:
    """The names at the top of the file that a service refers to; bind mounts have none."""
    for entry in service.get(kind, ()):
        if not isinstance(entry, str):
            if entry.get("type") != "bind":
                yield entry["source"]
        elif kind == "volumes":
            yield entry.partition(":")[0]
        else:
            yield entry


def _named(document: Document, _: str, service: Service) -> Iterator[str]:
    for kind in ("secrets", "volumes", "networks"):
        for name in _names(service, kind):
            if name not in document.get(kind, {}):
                yield f"no such one in {kind}: {name}"


def _waits_for(document: Document, _: str, service: Service) -> Iterator[str]:
    for name, how in _dependencies(service).items():
        condition = how.get("condition")
        target = document["services"].get(name)
        if target is None:
            yield f"depends on {name}, which is no service"
            continue
        if condition not in CONDITIONS:
            yield f"depends on {name}: no such condition: {condition}"
        if condition == "service_healthy" and "healthcheck" not in target:
            yield f"waits for {name} to be healthy, which has no health check"
        if condition == "service_completed_successfully" and target.get("restart") != "no":
            yield f"waits for {name} to end, which is restarted"
        if set(target.get("profiles", ())) - set(service.get("profiles", ())):
            yield f"depends on {name}, which is in a profile of its own"


def _dependencies(service: Service) -> Mapping[str, Any]:
    found = service.get("depends_on", {})
    return found if isinstance(found, Mapping) else {name: {} for name in found}


def _cycle(document: Document, name: str, _: Service) -> Iterator[str]:
    reached, ahead = set(), [name]
    while ahead:
        for target in _dependencies(document["services"].get(ahead.pop(), {})):
            if target == name:
                yield "depends on itself, by way of others"
                return
            if target not in reached:
                reached.add(target)
                ahead.append(target)


def _times_and_sizes(_: Document, __: str, service: Service) -> Iterator[str]:
    check = service.get("healthcheck", {})
    limits = _limits(service)
    tmpfs = service.get("tmpfs", ())
    for pattern, what, values in (
        (DURATION, "duration", (service.get("stop_grace_period"),)),
        (DURATION, "duration", (check.get(key) for key in ("interval", "timeout"))),
        (DURATION, "duration", (check.get(key) for key in ("start_period", "start_interval"))),
        (SIZE, "size", (limits.get("memory"), service.get("shm_size"))),
        (SIZE, "size", (service.get("logging", {}).get("options", {}).get("max-size"),)),
        (SIZE, "size", re.findall(r"size=([^,\s]*)", " ".join(tmpfs))),
        (NUMBER, "number", (limits.get("cpus"), limits.get("pids"))),
    ):
        for value in values:
            if value is not None and not pattern.fullmatch(str(value)):
                yield f"{value}: no {what}"


def _limits(service: Service) -> Mapping[str, Any]:
    limits: Mapping[str, Any] = service.get("deploy", {}).get("resources", {}).get("limits", {})
    return limits


def _healthcheck(_: Document, __: str, service: Service) -> Iterator[str]:
    if "healthcheck" not in service:
        return
    test = service["healthcheck"].get("test", [])
    if not isinstance(test, list) or test[:1] != ["CMD"]:
        yield "the health check does not begin with CMD"
    elif any(re.search(r"\s", argument) for argument in test):
        yield "an argument of the health check has a space: podman splits it there"


def _long_running(_: Document, __: str, service: Service) -> Iterator[str]:
    wanted = {
        "read_only": service.get("read_only") is True,
        "cap_drop": service.get("cap_drop") == ["ALL"],
        "no-new-privileges": "no-new-privileges:true" in service.get("security_opt", ()),
        "limits": _limits(service).keys() >= {"cpus", "memory", "pids"},
        "log rotation": {"max-size", "max-file"}
        <= service.get("logging", {}).get("options", {}).keys(),
    }
    if service.get("restart") != "no":
        wanted["restart"] = service.get("restart") == "unless-stopped"
        wanted["healthcheck"] = "healthcheck" in service
    for what, is_there in wanted.items():
        if not is_there:
            yield f"without {what}"


def _scalable(_: Document, __: str, service: Service) -> Iterator[str]:
    if "container_name" in service:
        yield "has a container_name, so there can be but one"
    if "ports" in service and service.get("command") != ["web"]:
        yield "publishes a port, so there can be but one"
    for port in service.get("ports", ()):
        if not str(port).startswith("127.0.0.1:"):
            yield f"publishes {port} to the world"


def _our_command(_: Document, name: str, service: Service) -> Iterator[str]:
    if OURS not in service.get("image", ""):
        return
    for variable in service.get("environment", {}):
        key = variable.removeprefix("KABAR_").lower().replace("__", ".").removesuffix("_file")
        if key not in set(settings.keys(settings.Settings)):
            yield f"{variable}: no such setting"
    health = service.get("healthcheck", {}).get("test", ["CMD", "kabar", "health", name])
    if health != ["CMD", "kabar", "health", name]:
        yield "asks for the health of another role"
