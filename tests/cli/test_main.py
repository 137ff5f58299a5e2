"""The frame of the command line: help, exit codes, and one boundary for whatever goes wrong."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import lattice_lock as package
from lattice_lock.cli import commands
from lattice_lock.cli.main import command_summaries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from command_process import Outcome

_HEAVY = {"asyncio", "httptools", "hypothesis", "msgspec", "pydantic", "pytest", "rich", "yaml"}

# Commands that do what a command must never do; the boundary must cope with each of them.
_HOSTILE_COMMANDS = """\
\"\"\"Raise what the argument names.\"\"\"

import os
import signal
import sys

import click

from lattice_lock.cli.output import ExitCode, emit, format_option
from lattice_lock.exceptions import (
    AllProvidersFailedError, APIClientError, PolicyViolationError, RateLimitError
)


@click.command("hostile")
@click.argument("what")
@format_option
def command(what, output_format):
    if what == "findings":
        emit(["found"], output_format, text=lambda: "found")
        return ExitCode.FINDINGS
    if what == "defect":
        raise KeyError("hunter2")
    if what == "policy":
        raise PolicyViolationError("No.", policy="no-pii", rule="email", hint="Leave it out.")
    if what == "group":
        raise AllProvidersFailedError(
            "All failed.", [RateLimitError("Slow.", provider="a", retry_after_s=2.5)]
        )
    if what == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    if what == "flood":
        while True:
            click.echo("x" * 1000)
    if what == "late":
        sys.stdin.read()
        sys.stdout.write("x")
    if what == "controls":
        emit({"text": "a\\x1b[2Jb"}, output_format, text=lambda: "a\\x1b[2Jb\\u202ec")
    if what == "narrow":
        emit("\\u2713", output_format, text=lambda: "\\u2713")
"""
_WITH_HOSTILE_COMMANDS = """\
import sys
from lattice_lock.cli import commands, main
commands.__path__.append(sys.argv.pop(1))
main.main()
"""


@pytest.fixture
def hostile(tmp_path: Path) -> Sequence[str | Path]:
    """The start of a command line on which `hostile` is one of the commands."""
    (tmp_path / "hostile.py").write_text(_HOSTILE_COMMANDS)
    return [sys.executable, "-c", _WITH_HOSTILE_COMMANDS, tmp_path, "hostile"]


def _run(arguments: Sequence[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | environment,
    )


def test_version_is_the_package_version(lattice_lock: Callable[..., Outcome]) -> None:
    """`--version` prints the one version of the package."""
    assert lattice_lock("--version").out == f"lattice-lock {package.__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_every_command(
    arguments: tuple[str, ...], lattice_lock: Callable[..., Outcome]
) -> None:
    """Help names each command with its summary, and the exit codes."""
    outcome = lattice_lock(*arguments)
    assert outcome.code == 0
    text = " ".join(outcome.out.split())
    for name, summary in command_summaries().items():
        assert f"{name} {summary}" in text
    assert "130 interrupted" in text


def test_every_command_file_is_a_command() -> None:
    """Each module has a `command` of its file's name, and its first line is the summary."""
    files = {path.stem for path in Path(commands.__path__[0]).glob("[!_]*.py")}
    assert set(command_summaries()) == files
    for name, summary in command_summaries().items():
        module = import_module(f"{commands.__name__}.{name}")
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        assert summary == (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]
        assert isinstance(module.command, click.Command)
        assert module.command.name == name
        assert (module.command.help or "").strip()


def test_every_command_can_speak_json() -> None:
    """Each command, subcommands too, has `--format text|json` and a help text on every option.

    Only `lsp` and `mcp` have no format to choose: what they print is their protocol.
    """
    for name in command_summaries():
        command: click.Command = import_module(f"{commands.__name__}.{name}").command
        leaves = command.commands.values() if isinstance(command, click.Group) else [command]
        for leaf in leaves:
            options = [p for p in leaf.params if isinstance(p, click.Option)]
            flags = {flag for option in options for flag in option.opts}
            assert ("--format" in flags) == (leaf.name not in {"lsp", "mcp"}), leaf.name
            assert all(option.help for option in options), leaf.name


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    """Asking for help or the version does not pay for a model, a network or a test library."""
    script = (
        "import sys\nfrom lattice_lock.cli.main import run\n"
        f"code = run({arguments})\nprint('\\n', *sys.modules)\nsys.exit(code)"
    )
    done = _run([sys.executable, "-c", script])
    assert done.returncode == 0
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "lattice_lock" in loaded
    assert loaded & _HEAVY == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["--nonsense"], "No such option '--nonsense'"),
        (["init"], "`init` needs the NAME"),
        (["init", "x", "--template", "nonsense"], "'nonsense' is not one of"),
    ],
)
def test_wrong_use_is_code_2(
    arguments: list[str], message: str, lattice_lock: Callable[..., Outcome]
) -> None:
    """A wrong command line exits with 2 and says what was wrong and where the help is."""
    outcome = lattice_lock(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error[LL-802]: ")
    assert message in outcome.err
    assert "--help`" in outcome.err


@pytest.mark.parametrize("spelling", [["--format", "json"], ["--format=json"]])
def test_wrong_use_speaks_json_when_asked(
    spelling: list[str], lattice_lock: Callable[..., Outcome]
) -> None:
    """Even a command line that cannot be parsed answers a program in JSON."""
    outcome = lattice_lock("init", "--nonsense", *spelling)
    assert (outcome.code, outcome.err) == (2, "")
    assert outcome.json["error"]["code"] == "LL-802"


def test_format_after_the_end_of_options_is_an_argument(
    lattice_lock: Callable[..., Outcome],
) -> None:
    """What follows `--` never chooses the format."""
    outcome = lattice_lock("init", "--", "--format=json", "extra")
    assert (outcome.code, outcome.out) == (2, "")


@pytest.mark.parametrize(
    ("what", "code"), [("findings", 1), ("defect", 3), ("policy", 1), ("group", 1), ("nothing", 0)]
)
def test_outcome_becomes_an_exit_code(what: str, code: int, hostile: Sequence[str | Path]) -> None:
    """What a command returns or raises decides the exit code."""
    assert _run([*hostile, what]).returncode == code


def test_error_text_has_code_cause_and_way_out(hostile: Sequence[str | Path]) -> None:
    """An error is printed once, on standard error, with its code, its causes and the next step."""
    done = _run([*hostile, "policy"])
    assert (done.stdout, done.stderr) == ("", "error[LL-402]: No.\n  Leave it out.\n")
    done = _run([*hostile, "group"])
    assert done.stderr == "error[LL-530]: All failed.\n  - [LL-513] Slow.\n"


def test_error_json_carries_every_field(hostile: Sequence[str | Path]) -> None:
    """An error in JSON holds its context fields and those of its causes."""
    error = json.loads(_run([*hostile, "group", "--format", "json"]).stdout)["error"]
    (cause,) = error.pop("causes")
    assert error == {
        "code": "LL-530",
        "type": "AllProvidersFailedError",
        "message": "All failed.",
        "exit_code": 1,
        "retryable": False,
    }
    assert (cause["provider"], cause["retry_after_s"], cause["retryable"]) == ("a", 2.5, True)


def test_defect_is_told_without_its_text(hostile: Sequence[str | Path]) -> None:
    """A defect names its type and nothing it said, unless debugging is on."""
    quiet = _run([*hostile, "defect"])
    assert quiet.stderr.startswith("error[LL-900]: A defect in Lattice Lock: `KeyError`")
    assert "LATTICE_LOCK_DEBUG=1" in quiet.stderr
    assert "hunter2" not in quiet.stdout + quiet.stderr
    loud = _run([*hostile, "defect"], LATTICE_LOCK_DEBUG="1")
    assert "Traceback" in loud.stderr
    assert "hunter2" in loud.stderr


def test_interrupt_is_code_130(hostile: Sequence[str | Path]) -> None:
    """Ctrl-C ends a command with 130 and one line, no traceback."""
    done = _run([*hostile, "interrupt"])
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def test_closed_output_is_code_141(hostile: Sequence[str | Path]) -> None:
    """A reader that leaves early ends the command quietly, as `head` expects."""
    with subprocess.Popen(
        [*hostile, "flood"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        errors = process.stderr.read()
        assert (process.wait(timeout=60), errors) == (128 + signal.SIGPIPE, b"")


def test_output_closed_before_the_last_flush_is_code_141(hostile: Sequence[str | Path]) -> None:
    """What is still buffered when the reader has left is dropped without a message."""
    with subprocess.Popen(
        [*hostile, "late"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": ""},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.close()
        errors = process.stderr.read()
        assert (process.wait(timeout=60), errors) == (128 + signal.SIGPIPE, b"")


def test_text_cannot_drive_the_terminal(hostile: Sequence[str | Path]) -> None:
    """Control and direction-changing characters are printed as escapes."""
    assert _run([*hostile, "controls"]).stdout == "a\\x1b[2Jb\\u202ec\n"
    assert "\x1b" not in _run([*hostile, "controls", "--format", "json"]).stdout


def test_narrow_encoding_is_no_error(hostile: Sequence[str | Path]) -> None:
    """Characters that the terminal's encoding lacks are escaped."""
    done = _run([*hostile, "narrow"], PYTHONIOENCODING="iso-8859-1")
    assert (done.returncode, done.stdout) == (0, "\\u2713\n")


def test_module_runs_as_the_command(lattice_lock_process: Callable[..., Outcome]) -> None:
    """`python -m lattice_lock` is the same program."""
    assert lattice_lock_process("--version").out == f"lattice-lock {package.__version__}\n"
