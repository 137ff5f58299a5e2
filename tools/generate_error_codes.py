"""Write ERROR_CODES.md from the errors of the package and what to do about each."""

from __future__ import annotations

import sys

from generated_file import write_or_check

from lattice_lock import exceptions
from lattice_lock.errors.remedies import REMEDIES
from lattice_lock.exceptions import LatticeLockError

_HEAD = """\
# Error codes

Generated from `src/lattice_lock/exceptions.py` and `src/lattice_lock/errors/remedies.py` by
`make generate`; edit those instead.

Every deliberate error carries one of these codes, and a code never changes its meaning. *Retryable*
means that the same call may succeed later without a change. *Exit* is the exit code of the command
line, *HTTP* the status with which a server answers.

| code | error | meaning | what to do | retryable | exit | HTTP |
|---|---|---|---|---|---|---|
"""


def render() -> str:
    """The whole file, errors in the order of their codes."""
    errors = sorted(_classes(), key=lambda error: error.code)
    return _HEAD + "".join(_row(error) for error in errors)


def _classes() -> list[type[LatticeLockError]]:
    named = (getattr(exceptions, name) for name in exceptions.__all__)
    return [cls for cls in named if issubclass(cls, LatticeLockError)]


def _row(error: type[LatticeLockError]) -> str:
    cells = (
        error.code,
        f"`{error.__name__}`",
        _summary(error),
        REMEDIES[error.code],
        "yes" if error.retryable else "no",
        str(error.exit_code),
        str(error.http_status),
    )
    return f"| {' | '.join(cells)} |\n"


def _summary(error: type[LatticeLockError]) -> str:
    return (error.__doc__ or "").strip().splitlines()[0]


if __name__ == "__main__":
    sys.exit(write_or_check("ERROR_CODES.md", render(), description=__doc__))
