"""What tests call that compare an implementation with a mutant of it; runs in the judge."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lattice_lock.gauntlet._differences import COMPARISON_MARK, first_difference
from lattice_lock.gauntlet._proxies import is_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["compare"]


def compare(
    original: Callable[..., Any],
    mutant: Callable[..., Any],
    arguments: Mapping[str, Any],
    watched: Sequence[str],
) -> None:
    """Call both with copies of the arguments.

    Args:
        original: takes the arguments by name.
        mutant: takes the same.
        arguments: for either.
        watched: those that must be the same afterwards.

    Raises:
        AssertionError: they did different things; the message tells what.
    """
    first, second = (_observe(one, arguments, watched) for one in (original, mutant))
    for name, value in first.items():
        found = first_difference(name, value, second[name])
        if found is not None:
            raise AssertionError(COMPARISON_MARK + json.dumps(asdict(found)))


def _observe(
    function: Callable[..., Any], arguments: Mapping[str, Any], watched: Sequence[str]
) -> dict[str, Any]:
    given = deepcopy(dict(arguments))
    seen: dict[str, Any] = {"exception": None, "result": None}
    try:
        seen["result"] = function(**given)
    except Exception as error:
        if is_remote(error):
            seen["exception"] = type(error).__name__
            return {**seen, **{name: given[name] for name in watched}}
        raise
    return {**seen, **{name: given[name] for name in watched}}
