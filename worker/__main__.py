"""`python -m worker`: the same as the command `kabar`."""

from worker.cli import main

main()
