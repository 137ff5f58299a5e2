"""Judge code by the contracts that its decorators attach to it, without any lattice.

Each file is imported in a worker of its own, confined as implementations are; see
`docs/explanation/sandbox.md`. The files to judge, and what in them has a contract, are found by
reading: whatever has a contract and gets no verdict from the worker has not passed.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import sys
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from lattice_lock.exceptions import SandboxUnavailableError, UsageError
from lattice_lock.gauntlet._attached_files import ContractFile, Target, find_contract_files
from lattice_lock.gauntlet._attached_search import Effort
from lattice_lock.gauntlet._channel import ChannelTimeoutError
from lattice_lock.gauntlet._confine import Confinement
from lattice_lock.gauntlet._suggestions import suggestion
from lattice_lock.gauntlet._worker_process import UnconfinedError, WorkerLostError, WorkerProcess
from lattice_lock.gauntlet.sandbox import (
    Sandbox,
    bootstrap,
    ensure_sandbox,
    home_folder,
    readable_paths,
    worker_command,
)
from lattice_lock.gauntlet.verdict import GauntletReport, Outcome, TestVerdict, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "AttachedLimits",
    "ContractFile",
    "Target",
    "compare_function",
    "explore_function",
    "find_contract_files",
    "judge_files",
    "replay_input",
    "select",
]

_Answer = TypeVar("_Answer")

_AT_ONCE: Final = 2
_SYMBOLIC_MEMORY_MIB: Final = 2048
_SYMBOLIC_SLACK: Final = 3  # it looks at the clock between paths
_ERROR_ADVICE: Final = "Mend what the message names, or exclude the input by `requires`."
_START_TIMEOUT_S: Final = 20.0
_MESSAGE_BYTES: Final = 1024 * 1024
_OUTPUT_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedLimits:
    """What a file under test may use.

    Attributes:
        call_s: seconds of processor time for one input.
        search_s: seconds of processor time for all inputs of one contract.
        target_timeout_s: seconds after which a search is ended from outside.
        memory_mib: address space, in MiB.
        max_examples: inputs for one contract, of telling and of random ones each.
    """

    call_s: float = 0.5
    search_s: float = 1.2
    target_timeout_s: float = 15.0
    memory_mib: int = 1024
    max_examples: int = 1500


def select(files: Sequence[ContractFile], names: Sequence[str]) -> tuple[ContractFile, ...]:
    """The files with only the targets that are named, or inside a class that is; all for none.

    Raises:
        UsageError: nothing with a contract has such a name.
    """
    known = [target.name for file in files for target in file.targets]
    for name in names:
        if not any(each == name or each.startswith(f"{name}.") for each in known):
            raise UsageError(
                f"nothing named `{name}` has a contract",
                hint=f"Name one of: {', '.join(known)}.",
            )

    def chosen(target: Target) -> bool:
        return any(target.name == name or target.name.startswith(f"{name}.") for name in names)

    if not names:
        return tuple(files)
    narrowed = [replace(file, targets=tuple(filter(chosen, file.targets))) for file in files]
    return tuple(file for file in narrowed if file.targets)


async def judge_files(
    files: Sequence[ContractFile],
    *,
    seed: int,
    limits: AttachedLimits | None = None,
    allow_unsandboxed: bool = False,
) -> Mapping[str, GauntletReport]:
    """Judge everything in these files that has a contract; path to its report.

    Raises:
        SandboxUnavailableError: nothing here confines the code, or its folder contains the home
            folder.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def judge(file: ContractFile) -> GauntletReport:
        async with gate:
            return await _judge_file(
                file,
                seed=seed,
                limits=limits or AttachedLimits(),
                allow_unsandboxed=allow_unsandboxed,
            )

    async with asyncio.TaskGroup() as group:
        running = {str(file.path): group.create_task(judge(file)) for file in files}
    return {path: task.result() for path, task in running.items()}


async def compare_function(
    file: ContractFile,
    function: str,
    mutant: str,
    *,
    seed: int,
    limits: AttachedLimits | None = None,
    allow_unsandboxed: bool = False,
) -> Mapping[str, Any]:
    """An input for which a function does something else in another text of its module.

    Returns:
        `difference` (what differs, how it is for either) with `input`; or `examples`, for how many
        inputs there was none; or `unknown`, why that was not found out.
    """
    limits = limits or AttachedLimits()
    session = await _open(file, seed=seed, limits=limits, allow_unsandboxed=allow_unsandboxed)
    answer = await _run(session, lambda: session.ask({"target": function, "mutant": mutant}))
    return {"unknown": answer["message"]} if "message" in answer else answer


async def explore_function(
    file: ContractFile,
    function: str,
    *,
    explore_s: float,
    seed: int,
    allow_unsandboxed: bool = False,
) -> Mapping[str, Any]:
    """What symbolic execution says about a function; nobody has confirmed it.

    Returns:
        `inputs` that may break its contract, as text, with `paths`, how many were looked at; or
        `unknown`, why there is nothing to look at; or `message`, how the engine failed.
    """
    limits = AttachedLimits(
        memory_mib=_SYMBOLIC_MEMORY_MIB,
        target_timeout_s=_SYMBOLIC_SLACK * explore_s,
        search_s=_SYMBOLIC_SLACK * explore_s,
    )
    session = await _open(file, seed=seed, limits=limits, allow_unsandboxed=allow_unsandboxed)
    session.worker = "_symbolic_worker"
    return await _run(session, lambda: session.ask({"target": function, "explore_s": explore_s}))


async def replay_input(
    file: ContractFile,
    target: Target,
    proposed: str,
    *,
    seed: int,
    allow_unsandboxed: bool = False,
) -> TestVerdict:
    """The verdict on one input, as text, that `explore_function` proposed."""
    limits = AttachedLimits()
    session = await _open(file, seed=seed, limits=limits, allow_unsandboxed=allow_unsandboxed)
    answer = await _run(session, lambda: session.ask({"target": target.name, "input": proposed}))
    return session.make(target, answer)


async def _judge_file(
    file: ContractFile, *, seed: int, limits: AttachedLimits, allow_unsandboxed: bool
) -> GauntletReport:
    started = time.monotonic()
    session = await _open(file, seed=seed, limits=limits, allow_unsandboxed=allow_unsandboxed)
    verdicts = await _run(session, session.run)
    return GauntletReport(
        verdicts=verdicts,
        sandbox=session.sandbox.name,
        seed=seed,
        duration_s=time.monotonic() - started,
    )


async def _open(
    file: ContractFile, *, seed: int, limits: AttachedLimits, allow_unsandboxed: bool
) -> _Session:
    sandbox = await asyncio.to_thread(
        ensure_sandbox, file.import_path[-1], allow_unsandboxed=allow_unsandboxed
    )
    return _Session(file, sandbox, seed=seed, limits=limits)


async def _run(session: _Session, work: Callable[[], _Answer]) -> _Answer:
    """Do blocking work of a session in a thread; cancelling this ends the worker first."""
    running = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        session.stop()
        await asyncio.wait([running])
        raise


def _refuse(_asked: object) -> NoReturn:
    raise WorkerLostError("asked for a dependency, of which there are none")


@dataclass(slots=True)
class _Session:
    """Takes one file through one worker after the other; runs in a thread."""

    file: ContractFile
    sandbox: Sandbox
    seed: int = field(kw_only=True)
    limits: AttachedLimits = field(kw_only=True)
    worker: str = "_attached_worker"
    _worker: WorkerProcess | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """End the worker; `run` then returns soon."""
        self._stopped.set()
        worker = self._worker
        if worker is not None:
            worker.kill()

    def run(self) -> tuple[TestVerdict, ...]:
        """One verdict for every target."""
        try:
            return tuple(self._verdict(target) for target in self.file.targets)
        finally:
            self._let_go()

    def ask(self, request: Mapping[str, object]) -> Mapping[str, Any]:
        """The answer to a single request."""
        try:
            return self._ask(request)
        finally:
            self._let_go()

    def _verdict(self, target: Target) -> TestVerdict:
        if target.unreachable:
            message = f"{target.unreachable}, where nothing can call it"
            return self.make(target, {"outcome": Outcome.ERROR, "message": message})
        return self.make(target, self._ask({"target": target.name}))

    def _ask(self, request: Mapping[str, object]) -> Mapping[str, Any]:
        """The worker's answer; an error where it has none."""
        try:
            failure = "was stopped" if self._stopped.is_set() else self._ensure_worker()
            if failure is not None:
                return {"outcome": Outcome.ERROR, "message": failure}
            assert self._worker is not None  # noqa: S101  # made sure of a line above
            deadline = time.monotonic() + self.limits.target_timeout_s
            return self._worker.request(request, deadline, _refuse)
        except ChannelTimeoutError:
            message = f"was not done after {self.limits.target_timeout_s:g} s"
        except WorkerLostError as error:
            message = str(error)
        except UnconfinedError as error:
            raise SandboxUnavailableError(
                f"the sandbox could not be applied: {error}",
                hint="Pass `--no-sandbox` to run the code with your own rights.",
            ) from error
        self._let_go()
        return {"outcome": Outcome.ERROR, "message": message}

    def make(self, target: Target, answer: Mapping[str, Any]) -> TestVerdict:
        """The verdict that an answer amounts to."""
        counterexample = answer.get("counterexample")
        clause = answer.get("clause")
        clause = None if clause is None else printable(str(clause))
        outcome, message = Outcome(answer["outcome"]), printable(str(answer.get("message", "")))
        advice = suggestion(outcome, message, clause=clause, method=target.name)
        return TestVerdict(
            test=f"line {target.line}",
            method=target.name,
            outcome=outcome,
            examples=int(answer.get("examples", 0)),
            message=message,
            counterexample=None if counterexample is None else printable(str(counterexample)),
            clause=clause,
            suggestion=_ERROR_ADVICE if outcome is Outcome.ERROR else advice,
        )

    def _let_go(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _ensure_worker(self) -> str | None:
        """Start a worker where there is none; what was wrong with the file, None when nothing."""
        if self._worker is not None:
            return None
        self._worker = self._start()
        reply = self._worker.wait_until_ready(time.monotonic() + _START_TIMEOUT_S)
        if "failed" not in reply:
            return None
        self._let_go()
        return str(reply["failed"])

    def _start(self) -> WorkerProcess:
        root = self.file.import_path[-1]
        readable = readable_paths(root, home=home_folder(), import_path=sys.path)
        cpu_s = 10 + math.ceil(2 * self.limits.search_s + 2) * len(self.file.targets)
        confinement = Confinement(
            readable=readable,
            landlock_abi=self.sandbox.landlock_abi,
            seccomp=self.sandbox.seccomp,
            memory_mib=self.limits.memory_mib,
            cpu_s=cpu_s,
        )
        effort = Effort(
            edges=self.limits.max_examples,
            draws=self.limits.max_examples,
            search_s=self.limits.search_s,
            call_s=self.limits.call_s,
        )
        hash_seed = hashlib.sha256(str(self.seed).encode()).digest()
        return WorkerProcess(
            worker_command(self.sandbox, ["-c", bootstrap(self.worker)], readable),
            environment={
                "LANG": "C.UTF-8",
                "TZ": "UTC",
                "HOME": "/nonexistent",
                "ICONTRACT_SLOW": "1",
                "PYTHONHASHSEED": str(int.from_bytes(hash_seed[:4], "big")),
            },
            order={
                "confinement": asdict(confinement),
                "effort": asdict(effort),
                "file": str(self.file.path.absolute()),
                "text": self.file.text,
                "module": self.file.module,
                "import_path": [str(folder) for folder in self.file.import_path],
                "seed": self.seed,
            },
            message_bytes=_MESSAGE_BYTES,
            output_bytes=_OUTPUT_BYTES,
        )
