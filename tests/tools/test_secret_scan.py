"""The secret scan finds planted secrets in the tree and in the history, and shows none of them."""

from __future__ import annotations

import base64
import json
import random
import string
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Every secret is put together at run time: this file holds none.
_RANDOM = random.Random(20261123)  # noqa: S311  # repeatable test data
_ALNUM = string.ascii_letters + string.digits


def _text(length: int, alphabet: str = _ALNUM) -> str:
    return "".join(_RANDOM.choice(alphabet) for _ in range(length))


def _hex(length: int) -> str:
    return _text(length, "0123456789abcdef")


def _base64_json(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


_PLANTED = {
    "openai-key": "sk-" + "proj-" + _text(48),
    "openai-compatible-key": "sk-" + _hex(32),
    "anthropic-key": "sk-" + "ant-api03-" + _text(93),
    "openrouter-key": "sk-" + "or-v1-" + _hex(64),
    "google-api-key": "AI" + "za" + _text(35),
    "xai-key": "xai" + "-" + _text(80),
    "groq-key": "gsk" + "_" + _text(52),
    "hugging-face-token": "hf" + "_" + _text(34),
    "aws-access-key": "AK" + "IA" + _text(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    "aws-secret-key": "aws_" + "secret_access_" + f"key = {_text(40)}",
    "aws-bedrock-key": "AB" + "SK" + _text(120),
    "azure-key": _text(52) + "JQ" + "QJ99" + _text(26),
    "azure-connection": "Account" + "Key=" + _text(86) + "==",
    "github-token": "gh" + "p_" + _text(36),
    "gitlab-token": "gl" + "pat-" + _text(20),
    "slack-token": "xo" + "xb-" + _text(12, string.digits) + "-" + _text(24),
    "stripe-key": "sk_" + "live_" + _text(24),
    "npm-token": "npm" + "_" + _text(36),
    "pypi-token": "py" + "pi-Ag" + _text(120),
    "jwt": ".".join((_base64_json({"alg": "HS256"}), _base64_json({"sub": "someone"}), _text(43))),
    "private-key": "-----BEGIN " + "PRIVATE KEY-----\n" + _text(64) + "\n" + _text(64),
    "connection-string": "postgresql://" + "app:" + _text(14) + "@db.internal/orders",
    "authorization-header": "Authorization" + ": Bearer " + _text(40),
    "basic-auth-header": "Authorization: Basic "
    + base64.b64encode(f"admin:{_text(12)}".encode()).decode(),
    "assigned-secret": "MISTRAL_" + "API_KEY=" + _text(32),
    "assigned-password": "pass" + 'word = "' + f'Sommer{_text(3, string.digits)}!"',
}


def _git(repository: Path, *arguments: str) -> None:
    subprocess.run(
        [
            "git",
            *(
                "-c",
                "user.name=Test",
                "-c",
                "user.email=test@localhost",
                "-c",
                "commit.gpgsign=false",
            ),
            *arguments,
        ],
        cwd=repository,
        check=True,
        capture_output=True,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty repository with one harmless commit."""
    _git(tmp_path, "init", "--quiet")
    (tmp_path / "harmless.txt").write_text("Keys come from the environment.\n")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "-m", "Start")
    return tmp_path


@pytest.fixture
def scan(root: Path, repository: Path) -> Callable[..., tuple[int, str]]:
    """Run the scan in `repository`; exit code and output."""

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, root / "tools" / "secret_scan.py", *arguments],
            cwd=repository,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout

    return run


def test_harmless_repository_passes(scan: Callable[..., tuple[int, str]]) -> None:
    """A repository without secrets has no findings."""
    code, output = scan()
    assert (code, "0 findings" in output) == (0, True)


def test_every_planted_kind_is_found(
    repository: Path, scan: Callable[..., tuple[int, str]]
) -> None:
    """A secret of each kind in a tracked file is found by its rule, and its text is not shown."""
    for name, secret in _PLANTED.items():
        (repository / f"{name}.txt").write_text(f"first line\n{secret}\n")
    _git(repository, "add", ".")
    code, output = scan("--tree")
    assert code == 1
    missed = [name for name in _PLANTED if f"{name}.txt:2: {name} [" not in output]
    assert missed == []
    shown = [name for name, secret in _PLANTED.items() if secret[-12:] in output]
    assert shown == []


@pytest.mark.parametrize("place", ["file", "message", "other branch"])
def test_secret_in_the_history_alone_is_found(
    place: str, repository: Path, scan: Callable[..., tuple[int, str]]
) -> None:
    """A secret that was committed stays a finding when no tracked file holds it any more."""
    secret = _PLANTED["anthropic-key"]
    if place == "message":
        _git(repository, "commit", "--quiet", "--allow-empty", "-m", f"Use {secret}")
    else:
        if place == "other branch":
            _git(repository, "checkout", "--quiet", "-b", "other")
        (repository / "leak.txt").write_text(secret)
        _git(repository, "add", ".")
        _git(repository, "commit", "--quiet", "-m", "Add a file")
        if place == "other branch":
            _git(repository, "checkout", "--quiet", "-")
        else:
            _git(repository, "rm", "--quiet", "leak.txt")
            _git(repository, "commit", "--quiet", "-m", "Remove it again")
    assert scan("--tree")[0] == 0
    code, output = scan()
    assert (code, "anthropic-key [" in output) == (1, True)


def test_allowed_fingerprint_passes_and_must_be_used(
    repository: Path, scan: Callable[..., tuple[int, str]]
) -> None:
    """An allowed fingerprint silences exactly its secret, and is a finding once it is unused."""
    (repository / "leak.txt").write_text(_PLANTED["xai-key"])
    _git(repository, "add", ".")
    fingerprint = scan("--tree")[1].partition("xai-key [")[2].partition("]")[0]
    (repository / "tools").mkdir()
    allowed = repository / "tools" / "secret_scan_allowed.toml"
    allowed.write_text(f'[[allowed]]\nfingerprint = "{fingerprint}"\nreason = "made for a test"\n')
    assert scan()[0] == 0
    (repository / "leak.txt").write_text(_PLANTED["groq-key"])
    code, output = scan()
    assert (code, "groq-key [" in output, "allows nothing" in output) == (1, True, True)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (".env", "A=\n", "environment files are never tracked"),
        ("deploy/.env.production", "A=\n", "environment files are never tracked"),
        (".env.example", "A=\nB=1\n", "leave every value empty"),
    ],
)
def test_environment_files_are_refused(
    name: str, text: str, message: str, repository: Path, scan: Callable[..., tuple[int, str]]
) -> None:
    """Environment files are not tracked, except an example without values."""
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text(text)
    _git(repository, "add", "--force", ".")
    code, output = scan()
    assert (code, message in output) == (1, True)


def test_shallow_clone_is_refused(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, root: Path
) -> None:
    """A clone without its history is not reported as clean."""
    _git(repository, "commit", "--quiet", "--allow-empty", "-m", "Second")
    clone = tmp_path_factory.mktemp("shallow") / "clone"
    _git(repository, "clone", "--quiet", "--depth=1", f"file://{repository}", str(clone))
    done = subprocess.run(
        [sys.executable, root / "tools" / "secret_scan.py"],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "shallow" in done.stdout) == (1, True)
