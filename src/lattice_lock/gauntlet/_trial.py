"""Run one contract file under pytest and Hypothesis, in the judge's process."""

from __future__ import annotations

import importlib
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings

from lattice_lock.gauntlet._codec import Codec, TrustedClasses
from lattice_lock.gauntlet._modules import TextFinder
from lattice_lock.gauntlet._proxies import Implementation
from lattice_lock.gauntlet._verdict_plugin import VerdictPlugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from lattice_lock.gauntlet._worker_process import WorkerProcess
    from lattice_lock.gauntlet.verdict import TestVerdict

__all__ = ["hold_trial"]

_PROFILE: Final = "lattice-lock"
_LEFT_OUT: Final = (
    "cacheprovider",
    "doctest",
    "faulthandler",
    "junitxml",
    "legacypath",
    "logging",
    "pastebin",
    "stepwise",
    "threadexception",
    "unraisableexception",
    "warnings",
)
_PYTEST_OPTIONS: Final = (
    f"--config-file={os.devnull}",
    "--noconftest",
    "--import-mode=importlib",
    "--capture=no",
    "--quiet",
    "--tb=line",
    "--assert=plain",  # messages say what was expected; how pytest saw it is noise
    "-p_hypothesis_pytestplugin",
    *(f"-pno:{plugin}" for plugin in _LEFT_OUT),
)


def hold_trial(
    order: dict[str, Any],
    start: Callable[[], WorkerProcess],
    first: WorkerProcess,
    *,
    deadline: float,
    report: Callable[[TestVerdict], None],
) -> dict[str, Any]:
    """Run the tests in the current folder and return the last line of the manifest.

    Raises:
        UnconfinedError: the worker could not be confined.
    """
    sys.dont_write_bytecode = True  # nothing from here on is ever imported again
    limits = order["limits"]
    trusted = _import_trusted(order)
    implementation = Implementation(
        start,
        first,
        Codec(TrustedClasses(trusted), max_bytes=limits["message_bytes"]),
        call_timeout_s=limits["call_timeout_s"],
        start_timeout_s=limits["start_timeout_s"],
        deadline=deadline,
    )
    for name in order["implementation"]:
        stand_in = importlib.import_module(name)
        vars(stand_in)["__getattr__"] = partial(implementation.make_class, name)
    _configure_hypothesis(order)
    plugin = VerdictPlugin(implementation, dict(order["expected"]), order["selected"], report)
    contract = Path(order["contract_file"])
    contract.write_text(order["contract_text"], encoding="utf-8")
    options = [*_PYTEST_OPTIONS, f"--rootdir={Path.cwd()}", f"--hypothesis-seed={order['seed']}"]
    pytest.main([*options, str(contract)], [plugin])
    implementation.close()
    return {"collection_errors": plugin.collection_errors, "unexpected": plugin.unexpected}


def _import_trusted(order: dict[str, Any]) -> list[Any]:
    """Import the trusted modules from their text, with empty modules for the implementation."""
    sources = {name: order["modules"][name] for name in order["trusted"]}
    sources |= dict.fromkeys(order["implementation"], "")
    sys.meta_path.insert(0, TextFinder(sources))
    return [importlib.import_module(name) for name in order["trusted"]]


def _configure_hypothesis(order: dict[str, Any]) -> None:
    settings.register_profile(
        _PROFILE,
        max_examples=order["max_examples"] or settings().max_examples,
        database=None,
        deadline=None,  # slow answers are what the call timeout is for
        derandomize=False,
        print_blob=False,
        report_multiple_bugs=False,
        phases=(Phase.explicit, Phase.generate, Phase.target, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    settings.load_profile(_PROFILE)
