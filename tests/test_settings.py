"""The environment and `.env`, read once."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.exceptions import ConfigurationError
from lattice_lock.settings import Secret, Settings

CANARY = "canary-7f3b"
NOWHERE = Path("/nonexistent/.env")


def load(**environment: str) -> Settings:
    """Settings of exactly this environment, without a `.env`."""
    return Settings.load(environment=environment, dotenv=NOWHERE)


def load_file(dotenv: Path, **environment: str) -> Settings:
    """Settings of exactly this environment and this file."""
    return Settings.load(environment=environment, dotenv=dotenv)


def test_a_secret_shows_itself_to_no_printer() -> None:
    """`repr`, `str`, every format, copies and containers hide the text; `reveal` gives it."""
    secret = Secret(CANARY)
    shown = f"{secret} {secret!r} {secret!s} {secret:>30} {[secret]} {copy.deepcopy(secret)} %s"
    assert CANARY not in shown % secret
    assert secret.reveal() == CANARY


def test_a_secret_is_never_pickled() -> None:
    """Neither pickle nor a value that holds the secret can carry it to a file."""
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps({"key": Secret(CANARY)})


@given(one=st.text(), other=st.text())
def test_secrets_compare_by_value(one: str, other: str) -> None:
    """Secrets are equal exactly when their texts are, and equal ones hash alike."""
    assert (Secret(one) == Secret(other)) == (one == other)
    assert hash(Secret(one)) == hash(Secret(one))


def test_settings_hide_every_value() -> None:
    """Printing settings shows no variable, not even one that nobody declared a secret."""
    settings = load(XAI_API_KEY=CANARY, LATTICE_LOCK_LOCAL_API_KEY=CANARY, OTHER=CANARY)
    assert CANARY not in f"{settings} {settings!r}"
    assert settings.secret("LATTICE_LOCK_LOCAL_API_KEY") == Secret(CANARY)
    assert settings.secret("XAI_API_KEY") == Secret(CANARY)
    assert settings.text("OTHER") == CANARY
    with pytest.raises(TypeError):
        pickle.dumps(settings)


def test_the_environment_wins_over_dotenv(tmp_path: Path) -> None:
    """`.env` fills in what the environment does not say, and changes neither."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("ONE=file # note\nTWO='with $ONE'\nEMPTY=\nexport THREE=3\n")
    before = dict(os.environ)
    settings = load_file(dotenv, ONE="environment")
    assert (settings.text("ONE"), settings.text("TWO")) == ("environment", "with $ONE")
    assert (settings.text("EMPTY"), settings.text("THREE")) == (None, "3")
    assert dict(os.environ) == before


@pytest.mark.parametrize("content", [b"A=\xff\xfe\n", None])
def test_an_unreadable_dotenv_is_named(tmp_path: Path, content: bytes | None) -> None:
    """A `.env` that is no UTF-8 text, or is a folder, is an error that names the file."""
    dotenv = tmp_path / ".env"
    if content is None:
        dotenv.mkdir()
    else:
        dotenv.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"\.env"):
        load_file(dotenv)


def test_embedded_models_are_read_in_order() -> None:
    """Names and paths come back in the order written, spaces and empty entries aside."""
    settings = load(HOME="/home/x", LATTICE_LOCK_EMBEDDED_MODELS=" b=/m/b.gguf, a = /m/x=y.gguf,, ")
    assert list(settings.embedded_models.items()) == [
        ("b", Path("/m/b.gguf")),
        ("a", Path("/m/x=y.gguf")),
    ]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LATTICE_LOCK_EMBEDDED_MODELS", "/m/b.gguf"),
        ("LATTICE_LOCK_EMBEDDED_MODELS", "a="),
        ("LATTICE_LOCK_EMBEDDED_MODELS", "a/b=/m/b.gguf"),
        ("LATTICE_LOCK_EMBEDDED_MODELS", "a=/m/b.gguf,a=/m/c.gguf"),
        ("LATTICE_LOCK_EMBEDDED_CONTEXT_TOKENS", "many"),
        ("LATTICE_LOCK_EMBEDDED_CONTEXT_TOKENS", "-1"),
        ("LATTICE_LOCK_EMBEDDED_CONTEXT_TOKENS", "10"),
        ("LATTICE_LOCK_DATA_DIR", "relative/folder"),
        ("LATTICE_LOCK_LOCAL_URL", "localhost:8000"),
        ("LATTICE_LOCK_LOCAL_URL", "ftp://localhost"),
        ("LATTICE_LOCK_LOCAL_URL", "http://"),
        ("LATTICE_LOCK_LOCAL_URL", "http://h:port/v1"),
        ("LATTICE_LOCK_LOCAL_URL", "http://h/v1?key=1"),
        ("LATTICE_LOCK_LOCAL_URL", "http://[::1/v1"),
        ("LATTICE_LOCK_OPENAI_API", "completions"),
        ("LATTICE_LOCK_REASONING_SUMMARY", "yes"),
        ("OLLAMA_HOST", "ftp://x"),
        ("OLLAMA_HOST", "host:99999999"),
    ],
)
def test_a_bad_value_is_named_with_the_form_to_write(variable: str, value: str) -> None:
    """A value that cannot be meant is refused with the variable and what to write instead."""
    with pytest.raises(ConfigurationError, match=variable) as caught:
        load(**{variable: value})
    assert caught.value.hint


@pytest.mark.parametrize("url", [f"http://me:{CANARY}@h/v1", f"http://me@{CANARY}:pw@h:x/v1"])
def test_a_password_in_an_address_is_refused_unseen(url: str) -> None:
    """An address with credentials is an error that does not repeat them."""
    with pytest.raises(ConfigurationError) as caught:
        load(LATTICE_LOCK_LOCAL_URL=url)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, "http://127.0.0.1:11434/v1"),
        ({"OLLAMA_HOST": "0.0.0.0"}, "http://127.0.0.1:11434/v1"),  # noqa: S104  # not bound
        ({"OLLAMA_HOST": ":8080"}, "http://127.0.0.1:8080/v1"),
        ({"OLLAMA_HOST": "box"}, "http://box:11434/v1"),
        ({"OLLAMA_HOST": "box:1"}, "http://box:1/v1"),
        ({"OLLAMA_HOST": "[::]:5"}, "http://[::1]:5/v1"),
        ({"OLLAMA_HOST": "https://box"}, "https://box/v1"),
        ({"OLLAMA_HOST": "http://box/ollama/"}, "http://box/ollama/v1"),
        ({"LATTICE_LOCK_LOCAL_URL": "http://box:8000"}, "http://box:8000/v1"),
        ({"LATTICE_LOCK_LOCAL_URL": "http://box:8000/v1/"}, "http://box:8000/v1"),
        ({"LATTICE_LOCK_LOCAL_URL": "https://box/api", "OLLAMA_HOST": "y"}, "https://box/api"),
    ],
)
def test_the_local_server_is_found(environment: dict[str, str], url: str) -> None:
    """The address follows our own variable first, then Ollama's as Ollama reads it."""
    assert load(**environment).local_url == url


def test_the_address_of_a_provider_is_checked_when_it_is_read() -> None:
    """An address loses its last slash, an absent one is None, and a wrong one names itself."""
    settings = load(A_BASE_URL="https://host/v1/", B_BASE_URL="", C_BASE_URL="host")
    assert settings.base_url("A_BASE_URL") == "https://host/v1"
    assert (settings.base_url("B_BASE_URL"), settings.base_url("D_BASE_URL")) == (None, None)
    with pytest.raises(ConfigurationError, match="C_BASE_URL"):
        settings.base_url("C_BASE_URL")


def test_the_data_folder_follows_the_environment(tmp_path: Path) -> None:
    """The data folder is the user's own unless the variable names another."""
    assert load(LATTICE_LOCK_DATA_DIR=str(tmp_path)).data_dir == tmp_path
    assert load().data_dir.name == "lattice-lock"


def test_load_reads_this_process_by_default(tmp_path: Path) -> None:
    """Without arguments the process environment and `.env` in the working folder are read."""
    (tmp_path / ".env").write_text("FROM_FILE=file\n")
    code = (
        "from lattice_lock.settings import Settings; s = Settings.load();"
        "print(s.text('FROM_FILE'), s.text('FROM_ENVIRONMENT'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=os.environ | {"FROM_ENVIRONMENT": "set"},
    )
    assert done.stdout.split() == ["file", "set"]
