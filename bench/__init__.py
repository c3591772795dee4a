"""Benchmarks: one script each, all run by `make bench`.

`python -m bench.NAME --json` prints one JSON object and nothing else to standard output:

    {"title": "what was measured, in a line",
     "note": "how, in a sentence or two",
     "figures": [{"name": "claim of 100 feeds", "value": 12.5, "unit": "ms"}, …]}

Values are numbers; `note` may be left out. A benchmark that could not measure exits with another
code than 0 and says why on standard error. Some draw an SVG into the file that `--plot` names.
"""
