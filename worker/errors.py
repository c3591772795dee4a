"""What a person can mend, told in one line."""

from typing import ClassVar


class KabarError(Exception):
    """Ends a command with one line on stderr and `exit_code`, without a traceback."""

    exit_code: ClassVar[int] = 1
