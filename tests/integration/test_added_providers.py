"""Providers that other distributions add, installed for real and used by real processes."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from command_process import run
from wire_server import answer, serving, whole

if TYPE_CHECKING:
    from pathlib import Path

KEY = "acme-canary-4711"
MODELS = {"object": "list", "data": [{"id": "echo"}]}


def _blocks(root: Path) -> tuple[str, str]:
    """The module and the project file that the guide shows."""
    guide = (root / "docs/how-to/add-a-provider.md").read_text()
    (module,) = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    (project,) = re.findall(r"```toml\n(.*?)```", guide, flags=re.DOTALL)
    return module, project


def _install(source: Path, target: Path, *, module: str, project: str) -> None:
    """Build the distribution in `source` and install it into `target`, without the network."""
    source.mkdir()
    (source / "acme_models.py").write_text(module)
    (source / "pyproject.toml").write_text(project)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-input", "--no-index", "--no-deps", "--no-build-isolation"),
            *("--target", str(target), str(source)),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def installed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the distribution of the guide installed in it."""
    folder = tmp_path_factory.mktemp("acme")
    module, project = _blocks(root)
    _install(folder / "source", folder / "site", module=module, project=project)
    return folder / "site"


def _claim(folder: Path, name: str, **points: str) -> str:
    """A distribution's metadata as an installer writes it, with entry points and no code."""
    lines = "".join(f"{key} = {value}\n" for key, value in points.items())
    metadata = folder / f"{name.replace('-', '_')}-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[lattice_lock.providers]\n{lines}")
    return str(folder)


async def test_an_added_provider_answers(installed: Path, tmp_path: Path) -> None:
    """What the guide shows is under 25 lines, and answers like any other."""
    assert len((installed / "acme_models.py").read_text().splitlines()) < 25
    async with serving(answer(whole("Hello from Acme"))) as server:
        outcome = await run(
            tmp_path,
            *("ask", "Hello", "--model", "acme/echo"),
            PYTHONPATH=str(installed),
            ACME_BASE_URL=server.url,
            ACME_API_KEY=KEY,
        )
    assert (outcome.code, outcome.out.strip()) == (0, "Hello from Acme"), outcome.err
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_an_added_provider_is_listed(installed: Path, tmp_path: Path) -> None:
    """`models list` shows its models; without its key `doctor` says what to set."""
    async with serving(answer(MODELS)) as server:
        listed = await run(
            tmp_path,
            *("models", "list"),
            PYTHONPATH=str(installed),
            ACME_BASE_URL=server.url,
            ACME_API_KEY=KEY,
        )
    assert "acme/echo" in listed.out.split()
    doctor = await run(tmp_path, "doctor", PYTHONPATH=str(installed))
    assert "provider acme: Set `ACME_API_KEY`." in doctor.out


async def test_broken_distributions_stand_in_nobodys_way(installed: Path, tmp_path: Path) -> None:
    """Each broken or contested one is named with its distribution and reason; others still work."""
    site = tmp_path / "site"
    (tmp_path / "site").mkdir()
    (site / "raises_at_import.py").write_text("raise RuntimeError('no licence')\n")
    _claim(
        site,
        "hostile-models",
        absent="nowhere_to_be_found:Client",
        raising="raises_at_import:Client",
        number="math:pi",
        other="acme_models:AcmeClient",
        openai="acme_models:AcmeClient",
    )
    _claim(site, "first-models", twice="acme_models:AcmeClient")
    _claim(site, "second-models", twice="acme_models:AcmeClient")
    async with serving(answer(MODELS)) as server:
        doctor = await run(
            tmp_path,
            *("doctor", "--format", "json"),
            PYTHONPATH=f"{site}:{installed}",
            ACME_BASE_URL=server.url,
            ACME_API_KEY=KEY,
            OPENAI_API_KEY="",
        )
    checks = {check["name"]: check for check in doctor.json["checks"]}
    assert checks["provider acme"]["state"] == "ok"
    said = {name: checks[f"provider {name}"]["detail"] for name in ("absent", "raising", "number")}
    assert all("`hostile-models`" in detail for detail in said.values())
    assert "ModuleNotFoundError" in said["absent"]
    assert "RuntimeError: no licence" in said["raising"]
    assert "no subclass of `BaseAPIClient`" in said["number"]
    assert "its `provider` is `acme`" in checks["provider other"]["detail"]
    contested = checks["provider twice"]["detail"]
    assert "`first-models`" in contested
    assert "`second-models`" in contested
    assert "OPENAI_API_KEY" in checks["provider openai"]["hint"]
    assert "provider=openai distribution=hostile-models" in doctor.err


def test_no_plugin_is_imported_for_another_provider(installed: Path, tmp_path: Path) -> None:
    """Asking for a built-in provider, or for the names of all, imports no added module."""
    _claim(tmp_path, "more-models", raising="raises_at_import:Client")
    code = (
        "import sys\n"
        "from lattice_lock.providers.discovery import client_class, provider_names\n"
        "client_class('local'); names = provider_names()\n"
        "print('acme' in names, 'raising' in names, 'acme_models' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path}:{installed}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "True", "False"]
