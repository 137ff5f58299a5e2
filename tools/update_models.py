"""Bring what is known of models into one form, with the prices of the installed `genai-prices`.

A price that the list does not know stays as it is, and so do those of models that are served no
more. Whoever updates `genai-prices` sets `AS_OF` to that day.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from generated_file import ROOT, write_or_check

from lattice_lock.messages import ModelId
from lattice_lock.orchestrator.model_entries import Entry
from lattice_lock.orchestrator.price_list import look_up

if TYPE_CHECKING:
    from lattice_lock.orchestrator.model_facts import Prices

_FOLDER = "src/lattice_lock/orchestrator/models"
AS_OF = datetime(2026, 11, 22, tzinfo=UTC)
"""The day whose prices and lifecycle count."""


def render(provider: str, text: str) -> str:
    """The file of `provider` in its one form, models by name and fields in the order of `Entry`."""
    models = [json.loads(line) for line in text.splitlines()]
    for model in models:
        if _served(model):
            prices = look_up(ModelId(provider=provider, name=model["name"]), AS_OF).prices
            model["prices"] = [_plain(one) for one in prices] or model.get("prices", [])
    models.sort(key=lambda model: str(model["name"]))
    return "".join(f"{json.dumps(_ordered(model), ensure_ascii=False)}\n" for model in models)


def _served(model: dict[str, Any]) -> bool:
    ended = model.get("shutdown_date", "9999") <= AS_OF.date().isoformat()
    return not ended and not model.get("never_released", False)


def _plain(prices: Prices) -> dict[str, Any]:
    found = {
        name: value if isinstance(value, int) else f"{value.normalize():f}"
        for name, value in msgspec.structs.asdict(prices).items()
        if value is not None
    }
    start = found.pop("from_input_tokens")
    return {"from_input_tokens": start, **found} if start else found


def _ordered(model: dict[str, Any]) -> dict[str, Any]:
    fields = (name for name in Entry.__struct_fields__ if model.get(name, []) != [])
    return {name: model[name] for name in fields}


def main() -> int:
    """Write or check every file; 1 when one is stale."""
    stale = [
        write_or_check(
            f"{_FOLDER}/{path.name}",
            render(path.stem, path.read_text(encoding="utf-8")),
            description=__doc__,
        )
        for path in sorted((ROOT / _FOLDER).glob("*.jsonl"))
    ]
    return max(stale)


if __name__ == "__main__":
    sys.exit(main())
