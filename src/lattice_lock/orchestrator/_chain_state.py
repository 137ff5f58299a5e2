"""What a chain has been told already, in a file that outlives the process.

The file is replaced as a whole by one that is on the disk already, so it is never half written. Who
runs the chain holds a lock on the file itself; a copy that takes its place is locked before it
does. So there is no moment at which a second process could begin, and nothing is left to clear up.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import stat
from contextlib import ExitStack, asynccontextmanager, suppress
from decimal import Decimal
from typing import IO, TYPE_CHECKING

import msgspec

from lattice_lock.exceptions import ChainError
from lattice_lock.messages import FinishReason, ModelId, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

__all__ = ["Journal", "StepAnswer", "open_journal"]

_FORMAT = 1
_MODE = 0o600  # answers are nobody else's business
_ANEW = "Name another file to begin anew."


class StepAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a step was answered, to one item where it is asked for each.

    Attributes:
        item: number of the item, counted from 1; None where the step is asked once.
        text: the answer as it came.
        model: who was asked.
        latency_ms, cost_usd, usage: as in `ChatResponse`.
        resumed: whether it came in an earlier run.
    """

    step: str
    item: int | None = None
    text: str
    model: ModelId
    finish_reason: FinishReason
    latency_ms: float
    cost_usd: Decimal | None
    usage: Usage | None
    resumed: bool = False


class _State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    chain: str
    chain_digest: str
    input_digest: str
    spent_usd: Decimal | None
    answers: tuple[StepAnswer, ...] = ()


class _Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A state and the SHA-256 of its bytes, which shows whether they were changed."""

    format: int
    sha256: str
    state: msgspec.Raw


class Journal:
    """Answers as they come, each on the disk before anything is built on it.

    Attributes:
        answers: what is known, by step and item.
        spent_usd: US dollars for these answers and for what failed on the way to them; None is
            unknown. Whoever spends keeps it; it is written with the next answer, or at the end.
    """

    def __init__(self, state: _State, file: _StateFile | None) -> None:
        answers = [msgspec.structs.replace(one, resumed=True) for one in state.answers]
        self.answers = {(one.step, one.item): one for one in answers}
        self.spent_usd = state.spent_usd
        self._saved = msgspec.structs.replace(state, answers=tuple(answers))
        self._file = file
        self._saving = asyncio.Lock()

    async def record(self, answer: StepAnswer) -> None:
        """Keep `answer`.

        Raises:
            ChainError: the file cannot be written.
        """
        self.answers[answer.step, answer.item] = answer
        await self.save()

    async def save(self) -> None:
        """Write down what has changed; one write does for all that wait for it.

        Raises:
            ChainError: the file cannot be written.
        """
        async with self._saving:
            state = msgspec.structs.replace(
                self._saved, answers=tuple(self.answers.values()), spent_usd=self.spent_usd
            )
            if self._file is not None and state != self._saved:
                await _to_its_end(asyncio.to_thread(self._file.write, state))
            self._saved = state


@asynccontextmanager
async def open_journal(
    path: Path | None, *, chain: str, chain_digest: str, input_digest: str
) -> AsyncIterator[Journal]:
    """The answers that stand in the file at `path`, held for this run alone.

    At the end everything that was recorded is on the disk, whatever has ended the run.

    Args:
        path: None keeps nothing; a file that does not exist or is empty is begun.

    Raises:
        ChainError: the file is damaged, is about another chain or other inputs, is in use, or
            cannot be read or written.
    """
    fresh = _State(
        chain=chain, chain_digest=chain_digest, input_digest=input_digest, spent_usd=Decimal(0)
    )
    if path is None:
        yield Journal(fresh, None)
        return
    file = _StateFile(path)
    try:
        state = await _to_its_end(asyncio.to_thread(file.open, fresh))
        journal = Journal(state, file)
        try:
            yield journal
        finally:
            await journal.save()
    finally:
        file.close()


async def _to_its_end(work: Coroutine[None, None, _State]) -> _State:
    """What `work` in a thread returns; who is cancelled meanwhile waits for it all the same."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen: `save` is called once more at the end, and fails again
        raise


class _StateFile:
    """The file and the lock on it; for threads, because it waits for the disk."""

    def __init__(self, path: Path) -> None:
        self._name = path
        self._path = path
        self._stream: IO[bytes] | None = None

    def open(self, fresh: _State) -> _State:
        """Lock the file and read it; it is begun with `fresh` if it is new.

        Raises:
            ChainError: as for `open_journal`.
        """
        try:
            self._path = self._name.resolve()
            self._stream = self._locked()
            content = self._stream.read()
        except (OSError, ValueError) as error:
            raise self._refused("read", error) from error
        if not content:
            return self.write(fresh)
        state = self._unsealed(content)
        if (state.chain, state.chain_digest) != (fresh.chain, fresh.chain_digest):
            version = "another version of " if state.chain == fresh.chain else ""
            raise ChainError(
                f"`{self._name}` holds the state of {version}the chain `{state.chain}`.",
                hint=_ANEW,
            )
        if state.input_digest != fresh.input_digest:
            raise ChainError(
                f"`{self._name}` holds the state of a run with other inputs.",
                hint=f"Give the same inputs again. {_ANEW}",
            )
        return state

    def write(self, state: _State) -> _State:
        """Put `state` into the file, all of it or nothing.

        Raises:
            ChainError: the system refused.
        """
        raw = msgspec.json.encode(state)
        sealed = _Sealed(format=_FORMAT, sha256=_sha256(raw), state=msgspec.Raw(raw))
        # One name is enough, as only the holder of the lock writes; a killed one's is taken over.
        new = self._path.with_name(f".{self._path.name}.new")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        try:
            with ExitStack() as undo:
                stream = undo.enter_context(os.fdopen(os.open(new, flags, _MODE), "w+b"))
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stream.write(msgspec.json.encode(sealed))
                stream.flush()
                os.fsync(stream.fileno())
                new.replace(self._path)
                undo.pop_all()
        except OSError as error:
            raise self._refused("written", error) from error
        self.close()
        self._stream = stream
        return state

    def close(self) -> None:
        """Give the file free."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _locked(self) -> IO[bytes]:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, _MODE)
            with ExitStack() as undo:
                stream = undo.enter_context(os.fdopen(descriptor, "r+b"))
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise ChainError(f"`{self._name}` is no file that can hold a state.")
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise ChainError(
                        f"Another run of a chain is using the state file `{self._name}`.",
                        hint="Wait for it to end, or name another file.",
                    ) from error
                # Between opening and locking it, its last holder may have put a new one in place.
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(descriptor), self._path.stat()):
                        undo.pop_all()
                        return stream

    def _unsealed(self, content: bytes) -> _State:
        try:
            sealed = msgspec.json.decode(content, type=_Sealed)
            if sealed.format == _FORMAT and sealed.sha256 == _sha256(sealed.state):
                return msgspec.json.decode(sealed.state, type=_State)
        except (ValueError, RecursionError) as error:
            raise ChainError(f"`{self._name}` holds no state of a chain.", hint=_ANEW) from error
        what = "was changed or damaged" if sealed.format == _FORMAT else "has another format"
        raise ChainError(f"The state file `{self._name}` {what}.", hint=_ANEW)

    def _refused(self, what: str, error: OSError | ValueError) -> ChainError:
        reason = error.strerror if isinstance(error, OSError) else error
        return ChainError(f"The state file `{self._name}` cannot be {what}: {reason}.")


def _sha256(content: bytes | msgspec.Raw) -> str:
    return hashlib.sha256(content).hexdigest()
