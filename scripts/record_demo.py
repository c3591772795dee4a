"""Draws docs/demo.svg, the look of the demo in the README, from what a real run prints.

python scripts/record_demo.py
"""

import io
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

_COLUMNS = 100
_STORIES = 3
_PICTURE = Path(__file__).parents[1] / "docs" / "demo.svg"


def main() -> int:
    """Run the demo, then write the picture; returns the demo's exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "worker", "demo", "--stories", str(_STORIES), "--exit"],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, "COLUMNS": str(_COLUMNS)},
        text=True,
        timeout=200,
    )
    if done.returncode == 0:
        console = Console(record=True, width=_COLUMNS, file=io.StringIO())
        console.print(Text.from_ansi("$ kabar demo --stories 3 --exit\n" + done.stdout))
        # Nothing is fetched to show it: the named fonts come from a network, the fallbacks do not.
        svg = console.export_svg(title="kabar demo")
        _PICTURE.write_text(_without_fonts(svg))
    return done.returncode


def _without_fonts(svg: str) -> str:
    before, _, rest = svg.partition("@font-face")
    while rest:
        _, _, rest = rest.partition("}")
        skipped, found, after = rest.partition("@font-face")
        before += skipped
        rest = after if found else ""
    return before


if __name__ == "__main__":
    sys.exit(main())
