"""Renew constraints.txt, constraints-dev.txt and constraints-llm.txt: the newest versions that
pyproject.toml's ranges allow, with every file's hash. `--check` compares the files with the ranges,
without network.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = "constraints.txt"
DEVELOPMENT = "constraints-dev.txt"
LLM = "constraints-llm.txt"
FILES = (RUNTIME, DEVELOPMENT, LLM)
PLATFORMS = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
PYTHONS = ("3.11", "3.12", "3.13")
PATCHES = ("0", "99")  # the first and a late one: markers such as `< '3.11.3'` fall between them
# What a machine may need to reach the index at all. Anything else could name another index.
KEPT_ENVIRONMENT = {
    *("PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
}
HEADER = """\
# Names, versions and hashes for {platforms}, Python 3.11 to 3.13.
# Written by `make constraints` from the ranges in pyproject.toml ({groups}); edit those instead.
"""


@dataclass(frozen=True)
class Pin:
    """One `name==version` with its hashes, and the lines of the file that say so."""

    requirement: Requirement
    hashes: tuple[str, ...]
    text: str

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        return next(iter(self.requirement.specifier)).version


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; no network")
    if parser.parse_args(arguments).check:
        return check()
    return renew()


def renew() -> int:
    """Resolve anew and write the files; none is touched when one cannot be resolved."""
    texts: dict[str, str] = {}
    try:
        for file in FILES:
            texts[file] = resolve(ranges(file), header(file), agreeing=texts.get(RUNTIME, ""))
    except subprocess.CalledProcessError as error:
        print(error.stderr.strip(), file=sys.stderr)
        print("constraints: not resolved, nothing written", file=sys.stderr)
        return 1
    for file, text in texts.items():
        (ROOT / file).write_text(text)
    return check()


def check() -> int:
    """Print each way in which the files fall short of pyproject.toml; 1 when there is one."""
    found = [problem for file in FILES for problem in problems(file)] or list(disagreements())
    for problem in found:
        print(problem, file=sys.stderr)
    if not found:
        print(f"{', '.join(FILES)} satisfy pyproject.toml")
    return 1 if found else 0


def header(file: str) -> str:
    groups = {RUNTIME: "core, test, bench and build backend", DEVELOPMENT: "dev", LLM: "local-llm"}
    platforms = ", ".join(f"{system} {machine}" for system, machine in PLATFORMS)
    return HEADER.format(platforms=platforms, groups=groups[file])


def ranges(file: str) -> list[str]:
    """The requirements in pyproject.toml that `file` answers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    if file == DEVELOPMENT:
        return list(extras["dev"])
    if file == LLM:
        return list(extras["local-llm"])
    return [
        *project["project"]["dependencies"],
        *extras["test"],
        *extras["bench"],
        *project["build-system"]["requires"],
    ]


def resolve(requirements: list[str], heading: str, agreeing: str = "") -> str:
    """The text of a constraints file for `requirements`, agreeing with the pins in `agreeing`.

    Every pin has a wheel for each platform and Python: uv's `required-environments` sees to that,
    since no build is allowed. Raises `CalledProcessError` when there is no such set of versions.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pyproject.toml").write_text(_project(requirements))
        (folder / RUNTIME).write_text(agreeing)
        # An empty configuration of the user and of the system, in place of the machine's.
        (folder / "uv").mkdir()
        (folder / "uv" / "uv.toml").touch()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml"),
                *("--universal", "--python-version", "3.11", "--no-python-downloads"),
                *("--generate-hashes", "--only-binary", ":all:", "--no-sources"),
                *("--no-header", "--no-emit-index-url", "--quiet", "--system-certs"),
                *("--constraint", RUNTIME),
            ],
            cwd=folder,
            env=_environment(folder),
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        )
    return heading + "".join(pin.text for pin in pins(done.stdout) if _needed(pin.requirement))


def _project(requirements: list[str]) -> str:
    environments = [
        f"sys_platform == '{system}' and platform_machine == '{machine}' "
        f"and python_version == '{python}'"
        for system, machine in PLATFORMS
        for python in PYTHONS
    ]
    return (
        '[project]\nname = "kabar"\nversion = "0"\nrequires-python = ">=3.11"\n'
        f"dependencies = {json.dumps(requirements)}\n"
        f"[tool.uv]\nrequired-environments = {json.dumps(environments)}\n"
    )


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in KEPT_ENVIRONMENT}
    home = str(folder)
    return kept | {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_CONFIG_DIRS": home}


def _needed(requirement: Requirement) -> bool:
    return any(applies(requirement, environment) for environment in environments())


def pins(text: str) -> Iterator[Pin]:
    """Each pin in the text of a constraints file, in its order."""
    block: list[str] = []
    for line in [*text.splitlines(keepends=True), "end"]:
        if line[0].isspace() or line.startswith("#"):
            block += [line] if block else []
            continue
        if block:
            yield _pin(block)
        block = [line]


def _pin(block: list[str]) -> Pin:
    words = " ".join(line.partition("#")[0].rstrip("\\\n ") for line in block)
    requirement, *hashes = words.split("--hash=")
    return Pin(
        requirement=Requirement(requirement.strip()),
        hashes=tuple(word.strip() for word in hashes),
        text="".join(block),
    )


def environments() -> Iterator[dict[str, str]]:
    """The marker environments that the files are for (PEP 508)."""
    for (system, machine), python, patch in itertools.product(PLATFORMS, PYTHONS, PATCHES):
        yield {
            "implementation_name": "cpython",
            "implementation_version": f"{python}.{patch}",
            "os_name": "posix",
            "platform_machine": machine,
            "platform_python_implementation": "CPython",
            "platform_system": system.capitalize(),
            "python_full_version": f"{python}.{patch}",
            "python_version": python,
            "sys_platform": system,
            "extra": "",
        }


def applies(requirement: Requirement, environment: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(dict(environment))


def problems(file: str) -> Iterator[str]:
    """What is wrong with one file: its lines, then its answers to pyproject.toml's ranges."""
    text = (ROOT / file).read_text()
    malformed = list(_malformed(file, text))
    yield from malformed
    if not malformed:
        for wanted in map(Requirement, ranges(file)):
            yield from _unanswered(file, wanted, list(pins(text)))


def _malformed(file: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if "://" in line or line.startswith("-"):
            yield f"{file}:{number}: an address or an option: {line}"
            return  # such a line is no pin: the rest cannot be read
    for pin in pins(text):
        if [specifier.operator for specifier in pin.requirement.specifier] != ["=="]:
            yield f"{file}: {pin.requirement}: not one version"
        if not pin.hashes or not all(value.startswith("sha256:") for value in pin.hashes):
            yield f"{file}: {pin.requirement}: no hash"


def _unanswered(file: str, wanted: Requirement, found: list[Pin]) -> Iterator[str]:
    name = canonicalize_name(wanted.name)
    said = set()
    for environment in environments():
        if not applies(wanted, environment):
            continue
        matching = [
            pin for pin in found if pin.name == name and applies(pin.requirement, environment)
        ]
        if len(matching) != 1:
            said.add(f"{file}: {wanted}: {len(matching)} pins for {_short(environment)}")
        elif not wanted.specifier.contains(matching[0].version, prereleases=True):
            said.add(f"{file}: {wanted}: pinned =={matching[0].version}")
    yield from sorted(said)


def _short(environment: dict[str, str]) -> str:
    return "{sys_platform} {platform_machine}, Python {python_version}".format(**environment)


def disagreements() -> Iterator[str]:
    """Packages that another file pins too, at another version than constraints.txt."""
    runtime = list(pins((ROOT / RUNTIME).read_text()))
    for file in FILES[1:]:
        for pin in pins((ROOT / file).read_text()):
            versions = {other.version for other in runtime if other.name == pin.name}
            if versions and pin.version not in versions:
                yield f"{file}: {pin.requirement}: {RUNTIME} says {', '.join(versions)}"


if __name__ == "__main__":
    sys.exit(main())
