"""Variables from a folder and from a secret manager."""

from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lattice_lock.exceptions import ConfigurationError
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

CANARY = "canary-secret-55"
NOWHERE = Path("/nonexistent/.env")


def load(environment: Mapping[str, str], **changes: Any) -> Settings:
    """Settings of exactly this environment, without a `.env` unless given."""
    return Settings.load(environment=environment, **({"dotenv": NOWHERE} | changes))


def test_a_folder_holds_a_file_for_each_variable(tmp_path: Path) -> None:
    """Files are read as containers are given them: links, line ends, and names that are none."""
    data = tmp_path / "..2026_11_24"
    data.mkdir()
    (data / "OPENAI_API_KEY").write_text(CANARY + "\n")
    (tmp_path / "..data").symlink_to(data)
    (tmp_path / "OPENAI_API_KEY").symlink_to(tmp_path / "..data" / "OPENAI_API_KEY")
    (tmp_path / "XAI_API_KEY").write_bytes(b"two\r\n")
    (tmp_path / "no-variable.txt").write_bytes(b"\xff")
    (tmp_path / "FOLDER").mkdir()
    settings = load({"LATTICE_LOCK_SECRETS_DIR": str(tmp_path)})
    assert settings.text("OPENAI_API_KEY") == CANARY
    assert settings.text("XAI_API_KEY") == "two"
    assert settings.text("FOLDER") is None
    assert CANARY not in repr(settings)


@pytest.mark.parametrize("content", [b"\xff" + CANARY.encode(), CANARY.encode() * 5000])
def test_a_file_that_holds_no_variable_is_refused(tmp_path: Path, content: bytes) -> None:
    """What is no text, or too long for a key, is named by its file and not quoted."""
    (tmp_path / "OPENAI_API_KEY").write_bytes(content)
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY") as caught:
        load({"LATTICE_LOCK_SECRETS_DIR": str(tmp_path)})
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A wrong folder is named with its setting, because keys would be missing silently."""
    with pytest.raises(ConfigurationError, match=r"LATTICE_LOCK_SECRETS_DIR.*absent"):
        load({"LATTICE_LOCK_SECRETS_DIR": str(tmp_path / "absent")})


def test_the_environment_wins_then_the_manager_then_the_folder(tmp_path: Path) -> None:
    """Each source fills in what those before it do not have; `.env` comes last."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in ("A", "B", "C"):
        (folder / name).write_text("folder")
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"A=file\nB=file\nC=file\nD=file\nLATTICE_LOCK_SECRETS_DIR={folder}\n")
    settings = load(
        {"A": "environment"}, dotenv=dotenv, secrets=lambda: {"A": "manager", "B": "manager"}
    )
    assert [settings.text(name) for name in "ABCD"] == ["environment", "manager", "folder", "file"]


def failing() -> Mapping[str, str]:
    """A source whose error quotes a key."""
    raise PermissionError(f"token {CANARY} is not allowed")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (failing, "failed with PermissionError"),
        (lambda: [CANARY], "a value of the type list"),
        (lambda: {"A": CANARY.encode()}, "a bytes for a str"),
        (lambda: {1: CANARY}, "a str for a int"),
    ],
)
def test_a_source_that_fails_is_not_quoted(source: Any, words: str) -> None:
    """The error says what is wrong, and neither it nor its trace holds what the source said."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        load({}, secrets=source)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def _distribution(folder: Path, name: str, points: str) -> None:
    """An installed distribution that adds sources."""
    metadata = folder / f"{name}-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[lattice_lock.secret_sources]\n{points}")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder in which distributions with sources are installed."""
    (tmp_path / "acme_vault.py").write_text(
        f"def read():\n    return {{'OPENAI_API_KEY': '{CANARY}'}}\n"
    )
    _distribution(
        tmp_path,
        "acme",
        "vault = acme_vault:read\nabsent = nowhere_to_be_found:read\n"
        "number = math:pi\ntwice = acme_vault:read\n",
    )
    _distribution(tmp_path, "other", "twice = math:sqrt\n")
    return tmp_path


def _said(installed: Path, source: str) -> str:
    """What a process prints that loads its settings with `source`."""
    code = (
        "from lattice_lock.settings import Settings\n"
        "from lattice_lock.exceptions import ConfigurationError\n"
        "try:\n"
        f"    print(Settings.load().secret('OPENAI_API_KEY').reveal() == '{CANARY}')\n"
        "except ConfigurationError as error:\n"
        "    print(error.message, error.hint)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=installed,
        env={"PYTHONPATH": str(installed), "LATTICE_LOCK_SECRET_SOURCE": source},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_an_installed_source_is_asked_by_its_name(installed: Path) -> None:
    """`LATTICE_LOCK_SECRET_SOURCE` names an entry point, whose keys are there like any other."""
    assert _said(installed, "vault") == "True\n"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("valut", "no source of secrets `valut`. There are `absent`, `number`, `twice`, `vault`."),
        ("absent", "`nowhere_to_be_found:read` raises ModuleNotFoundError"),
        ("number", "`math:pi`, which cannot be called"),
        ("twice", "Several distributions"),
    ],
)
def test_a_source_that_cannot_be_used_is_named(installed: Path, source: str, words: str) -> None:
    """A wrong name, a broken distribution and two of one name each say what to do."""
    assert words in _said(installed, source)
