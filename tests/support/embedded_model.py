"""The real embedded model for tests, fetched once for each checkout; a pytest plugin."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lattice_lock.providers.embedded_models import pull_embedded
from lattice_lock.settings import Settings

if TYPE_CHECKING:
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
