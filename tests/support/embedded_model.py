"""The real embedded model for tests, fetched once for each checkout; a pytest plugin."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lattice_lock.providers.embedded_models import (
    BUILT_IN_MODEL,
    find_embedded_model,
    pull_embedded,
)
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.providers.embedded_models import PullProgress


@pytest.fixture(scope="session")
def embedded_data_dir(request: pytest.FixtureRequest) -> Path:
    """A data folder that holds the built-in model; name it in `LATTICE_LOCK_DATA_DIR`."""
    cache = request.config.cache
    assert cache is not None
    folder = Path(cache.mkdir("lattice-lock-data"))

    def ignore(_: PullProgress) -> None: ...

    asyncio.run(pull_embedded(embedded_settings(folder), ignore))
    return folder


def embedded_settings(data_dir: Path, **environment: str) -> Settings:
    """Settings with that data folder and nothing else but `environment`."""
    return Settings.load(
        environment={"LATTICE_LOCK_DATA_DIR": str(data_dir)} | environment,
        dotenv=Path("/nonexistent/.env"),
    )


# A llama.cpp HTTP server, as `llama-server` is one: the library listens by itself.
_SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx = 512
params.n_parallel = 1
params.embedding = sys.argv[2] == "embedding"
if params.embedding:
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.api_keys = ["local-key"]
params.verbosity = 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@contextmanager
def _serving(data_dir: Path, purpose: str) -> Iterator[str]:
    model = find_embedded_model(embedded_settings(data_dir), BUILT_IN_MODEL).path
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(model), purpose],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip() + "/v1"
        process.kill()


@pytest.fixture(scope="module")
def llama_server(embedded_data_dir: Path) -> Iterator[str]:
    """The address of a real llama.cpp server with the built-in model; its key is `local-key`."""
    with _serving(embedded_data_dir, "chat") as address:
        yield address


@pytest.fixture(scope="module")
def llama_embeddings(embedded_data_dir: Path) -> Iterator[str]:
    """The address of a real llama.cpp server that gives vectors; its key is `local-key`."""
    with _serving(embedded_data_dir, "embedding") as address:
        yield address
