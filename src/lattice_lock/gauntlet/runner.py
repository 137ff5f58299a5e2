"""Run contract tests against an implementation that nobody trusts.

The judge, a trusted process, runs the tests; the worker, a confined process, runs the
implementation; see `docs/explanation/sandbox.md`. This module starts the judge, listens to it, and
decides: whatever the judge did not say was not passed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import platformdirs

from lattice_lock.exceptions import JudgeError
from lattice_lock.gauntlet.sandbox import Sandbox, bootstrap, ensure_sandbox, home_folder
from lattice_lock.gauntlet.verdict import (
    ANY_METHOD,
    GauntletReport,
    Outcome,
    TestVerdict,
    printable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GauntletRequest", "Limits", "run_contracts"]

_GRACE_S: Final = 10.0
_MAX_LINE_BYTES: Final = 1024 * 1024
_OUTPUT_TAIL_BYTES: Final = 4000
_UNHEARD: Final = "Run it again; if it stays so, compile the lattice anew and judge fewer methods."
_PASSED_ON: Final = ("LD_LIBRARY_PATH",)  # some interpreters do not find their library without


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an implementation may use.

    Attributes:
        call_timeout_s: seconds for one call.
        start_timeout_s: seconds to import the project.
        total_timeout_s: seconds for all tests together.
        memory_mib: address space, in MiB.
        message_bytes: data that one call may return.
        output_bytes: how much of what it prints is kept.
    """

    call_timeout_s: float = 2.0
    start_timeout_s: float = 10.0
    total_timeout_s: float = 60.0
    memory_mib: int = 1024
    message_bytes: int = 4 * 1024 * 1024
    output_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class GauntletRequest:
    """What to judge, and by which tests.

    Attributes:
        source_root: import root of the project, read-only for the implementation.
        modules: source text by module name, instead of or in addition to what is on disk.
        trusted_modules: those of `modules` that the judge imports too: generated types.
        implementation_modules: modules that only the worker imports; tests get stand-ins.
        contract_file: file name of the contract tests, for messages.
        contract_text: the contract tests.
        expected_tests: (test function, method) for every test that must have passed.
        seed: seed for Hypothesis; the same seed repeats a run.
        max_examples: examples for each test that does not say it itself, None for the default.
        limits: what the implementation may use.
        allow_unsandboxed: run even where nothing confines the implementation.
        methods: judge these methods only, None for all.
    """

    source_root: Path
    modules: Mapping[str, str]
    trusted_modules: frozenset[str]
    implementation_modules: tuple[str, ...]
    contract_file: str
    contract_text: str
    expected_tests: tuple[tuple[str, str], ...]
    seed: int
    max_examples: int | None = None
    limits: Limits = field(default_factory=Limits)
    allow_unsandboxed: bool = False
    methods: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what would let the judge run untrusted code.

        Raises:
            ValueError: a trusted module has no text, or is an implementation module.
        """
        if missing := self.trusted_modules - self.modules.keys():
            raise ValueError(f"trusted modules without text: {sorted(missing)}")
        if both := self.trusted_modules.intersection(self.implementation_modules):
            raise ValueError(f"modules both trusted and on trial: {sorted(both)}")

    def selected_tests(self) -> tuple[tuple[str, str], ...]:
        """The expected tests of the methods to judge.

        Those that call several methods are among them when all of these are to be judged.
        """
        if self.methods is None:
            return self.expected_tests
        chosen = {*self.methods}
        if chosen.issuperset(method for _, method in self.expected_tests if method != ANY_METHOD):
            chosen.add(ANY_METHOD)
        return tuple(pair for pair in self.expected_tests if pair[1] in chosen)


async def run_contracts(request: GauntletRequest) -> GauntletReport:
    """Judge an implementation by its contract tests.

    Cancelling this ends both processes and leaves no file behind.

    Raises:
        SandboxUnavailableError: nothing here confines the implementation, and the request does not
            allow to do without; or the sources contain the home folder.
        JudgeError: the judge itself failed, so nothing is known about the implementation.
    """
    started = time.monotonic()
    sandbox = await asyncio.to_thread(
        ensure_sandbox, request.source_root, allow_unsandboxed=request.allow_unsandboxed
    )
    folder = Path(tempfile.gettempdir(), f"lattice-lock-{secrets.token_hex(8)}")
    order = json.dumps(_make_order(request, sandbox, folder)).encode() + b"\n"
    testimony = _Testimony()
    try:
        await _hear_judge(order, folder, request.limits, testimony)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return GauntletReport(
        verdicts=testimony.verdicts_for(request),
        sandbox=sandbox.name,
        seed=request.seed,
        duration_s=time.monotonic() - started,
    )


def _make_order(request: GauntletRequest, sandbox: Sandbox, folder: Path) -> dict[str, Any]:
    hash_seed = hashlib.sha256(str(request.seed).encode()).digest()
    return {
        "folder": str(folder),
        "cache": str(platformdirs.user_cache_path("lattice-lock", appauthor=False)),
        "home": str(home_folder()),
        "source_root": str(request.source_root.absolute()),
        "modules": dict(request.modules),
        "trusted": sorted(request.trusted_modules),
        "implementation": request.implementation_modules,
        "contract_file": Path(request.contract_file).name,
        "contract_text": request.contract_text,
        "expected": request.expected_tests,
        "selected": [test for test, _ in request.selected_tests()],
        "seed": request.seed,
        "max_examples": request.max_examples,
        "limits": asdict(request.limits),
        "sandbox": asdict(sandbox),
        "worker_environment": _environment(
            HOME="/nonexistent", PYTHONHASHSEED=str(int.from_bytes(hash_seed[:4], "big"))
        ),
    }


def _environment(**variables: str) -> dict[str, str]:
    """An environment that holds nothing of the caller's."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"LANG": "C.UTF-8", "TZ": "UTC", **kept, **variables}


@dataclass(slots=True)
class _Testimony:
    """What the judge said, as far as it came.

    Attributes:
        verdicts: by name of the test function.
        conclusion: the last line, None if it never came.
        printed: the end of what the judge printed.
        exit_status: of the judge; None if it had to be killed for taking too long.
    """

    verdicts: dict[str, TestVerdict] = field(default_factory=dict)
    conclusion: dict[str, Any] | None = None
    printed: bytearray = field(default_factory=bytearray)
    exit_status: int | None = None

    def add_line(self, line: bytes) -> None:
        """Take one line of the manifest."""
        entry = json.loads(line)
        if "verdict" in entry:
            fields = {
                **entry["verdict"],
                "outcome": Outcome(entry["verdict"]["outcome"]),
                "calls": tuple(entry["verdict"]["calls"]),
            }
            self.verdicts[fields["test"]] = TestVerdict(**fields)
        else:
            self.conclusion = entry

    def verdicts_for(self, request: GauntletRequest) -> tuple[TestVerdict, ...]:
        """One verdict for each selected test.

        Raises:
            JudgeError: the judge broke down.
        """
        unheard = self._why_unheard(request.limits)
        return tuple(
            self.verdicts.get(test)
            or TestVerdict(
                test=test,
                method=method,
                outcome=Outcome.ERROR,
                message=unheard,
                suggestion=_UNHEARD,
            )
            for test, method in request.selected_tests()
        )

    def _why_unheard(self, limits: Limits) -> str:
        if self.conclusion is None:
            if self.exit_status is None:
                return f"the tests were not done after {limits.total_timeout_s + _GRACE_S:g} s"
            raise JudgeError(
                f"the judge ended with exit status {self.exit_status} and no complete verdict: "
                f"{printable(self.printed.decode('utf-8', 'replace').strip())}"
            )
        if "unconfined" in self.conclusion:
            raise JudgeError(f"the sandbox could not be applied: {self.conclusion['unconfined']}")
        if self.conclusion["unexpected"]:
            raise JudgeError(
                f"the contract file has tests that nobody expects: {self.conclusion['unexpected']}"
            )
        problems = "\n".join(self.conclusion["collection_errors"])
        return problems or "the contract file has no such test"


async def _hear_judge(order: bytes, folder: Path, limits: Limits, testimony: _Testimony) -> None:
    """Run the judge to its end, or to ours."""
    judge = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-s", "-P", "-X", "utf8", "-c", bootstrap("_judge")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_MAX_LINE_BYTES,
        start_new_session=True,
        env=_environment(
            HOME=str(folder),
            TMPDIR=str(folder),
            HYPOTHESIS_STORAGE_DIRECTORY=str(folder / "hypothesis"),
            PYTHONHASHSEED="0",
            PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
        ),
    )
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.total_timeout_s + _GRACE_S):
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(_send(judge, order))
                    tasks.create_task(_read_manifest(judge, testimony))
                    tasks.create_task(_read_output(judge, testimony))
                testimony.exit_status = await judge.wait()
    finally:
        if judge.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.killpg(judge.pid, signal.SIGKILL)  # the worker is in the same group
            await judge.wait()


async def _send(judge: asyncio.subprocess.Process, order: bytes) -> None:
    """Hand over the order; the pipe stays open, for its end tells the judge that we are gone."""
    assert judge.stdin is not None  # noqa: S101  # a pipe was asked for
    judge.stdin.write(order)
    with contextlib.suppress(ConnectionError):  # its output says why it went
        await judge.stdin.drain()


async def _read_manifest(judge: asyncio.subprocess.Process, testimony: _Testimony) -> None:
    assert judge.stdout is not None  # noqa: S101  # a pipe was asked for
    async for line in judge.stdout:
        testimony.add_line(line)


async def _read_output(judge: asyncio.subprocess.Process, testimony: _Testimony) -> None:
    assert judge.stderr is not None  # noqa: S101  # a pipe was asked for
    while chunk := await judge.stderr.read(65536):
        testimony.printed += chunk
        del testimony.printed[:-_OUTPUT_TAIL_BYTES]
