"""Asks providers which models they list, and keeps the difference to what is known in a file.

What is built in is never changed. A model that a provider lists and that nobody knows is added,
with the price that the price list has for it; a model that is known and listed no more is marked.
An issue of a known model, such as `gpt-5.4-2026-03-05`, becomes a snapshot of it.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lattice_lock.exceptions import StorageError
from lattice_lock.messages import ModelId
from lattice_lock.orchestrator.model_facts import FREE_PROVIDERS
from lattice_lock.orchestrator.price_list import look_up
from lattice_lock.providers.availability import ProviderStatus
from lattice_lock.providers.discovery import client_class, provider_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from lattice_lock.orchestrator.model_facts import Prices
    from lattice_lock.orchestrator.registry import ModelRegistry
    from lattice_lock.providers.availability import ProviderAvailability
    from lattice_lock.settings import Settings

__all__ = ["Change", "Refresh", "listings", "providers_to_ask", "refresh"]

_MOST = 10_000  # names; who lists more does not list models
_LONGEST = 500  # characters of a name
_SOURCE = "its provider's own list"
# Words in the names of what providers list beside models that chat.
_NO_CHAT = re.compile(
    r"(?:^|[^a-z])(?:embed\w*|\w*embedding|bge|tts|stt|whisper|dall-e|image|imagen|veo|sora|audio"
    r"|realtime|moderation|guard|safeguard|transcribe|transcription|rerank\w*|ocr|diffusion|flux"
    r"|lyria|orpheus|babbage|davinci)(?:[^a-z]|$)"
)
# What is written after the name of a model to say which issue of it is meant.
_ISSUE = re.compile(r"(?:-20\d\d-\d\d-\d\d|-20\d{6}|-latest|:latest|-00\d)$")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What the list of one provider has changed.

    Attributes:
        listed: how many models it lists; None where it could not be asked.
        added: models that nobody knew.
        snapshots: issues of models that are known.
        gone: models that are known and not in the list; they are marked.
        back: models that had been marked and are in the list again.
        reason: why it could not be asked, as a sentence.
    """

    provider: str
    listed: int | None = None
    added: tuple[ModelId, ...] = ()
    snapshots: tuple[ModelId, ...] = ()
    gone: tuple[ModelId, ...] = ()
    back: tuple[ModelId, ...] = ()
    reason: str | None = None
    hint: str | None = None


class Refresh(msgspec.Struct, frozen=True, kw_only=True):
    """What all lists together have changed, and the lines that keep it."""

    changes: tuple[Change, ...]
    lines: bytes

    def write(self, path: Path) -> None:
        """Replace the file, whole or not at all.

        Raises:
            StorageError: it cannot be written; what was there is there still.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                dir=path.parent, prefix=f".{path.name}.", delete=False
            ) as file:
                temporary = Path(file.name)
                try:
                    file.write(self.lines)
                    file.flush()
                    os.fsync(file.fileno())
                    temporary.replace(path)
                except BaseException:
                    temporary.unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise StorageError(
                f"`{path}` cannot be written: {error.strerror}.",
                hint="What was known before is known still; free some space, or set"
                " `LATTICE_LOCK_DATA_DIR`.",
            ) from None


def providers_to_ask(settings: Settings) -> tuple[str, ...]:
    """The providers that are set up here, in alphabetical order.

    Of those on the user's own machine none is, but a server whose address is given: nobody has
    asked for the one at the usual place, and what runs in process lists nothing new.
    """
    addressed = any(map(settings.text, ("LATTICE_LOCK_LOCAL_URL", "OLLAMA_HOST")))
    return tuple(
        provider
        for provider in provider_names()
        if (provider not in FREE_PROVIDERS or (provider == "local" and addressed))
        and client_class(provider).missing_setting(settings) is None
    )


async def listings(
    availability: ProviderAvailability, providers: Iterable[str]
) -> tuple[ProviderStatus, ...]:
    """What each of `providers` lists, all asked at once; who answers garbage cannot be used."""
    return tuple(await asyncio.gather(*(_listing(availability, one) for one in providers)))


async def _listing(availability: ProviderAvailability, provider: str) -> ProviderStatus:
    status = await availability.status(provider)
    if len(status.models) > _MOST or any(len(one.name) > _LONGEST for one in status.models):
        reason = f"Its list of {len(status.models)} models is garbage."
        return ProviderStatus(provider=provider, reason=reason)
    return status


def refresh(
    statuses: Sequence[ProviderStatus], known: ModelRegistry, path: Path, *, today: date
) -> Refresh:
    """What the lists change in what is known, and what the file is to hold then.

    Providers that are not among `statuses`, that could not be asked or that do not say what they
    have keep their lines.

    Args:
        known: what is known, by the file too.
        path: the file, which need not exist.
    """
    lines = _lines(path)
    changes = tuple(_change(status, known, lines, today) for status in statuses)
    encoded = [msgspec.json.encode(lines[key]) for key in sorted(lines)]
    return Refresh(changes=changes, lines=b"".join(line + b"\n" for line in encoded))


_Lines = dict[tuple[str, str], dict[str, Any]]


def _lines(path: Path) -> _Lines:
    """The lines of the file by model; the registry has found them to be right."""
    content = path.read_bytes() if path.is_file() else b""
    decoded = [msgspec.json.decode(line) for line in content.splitlines() if line.strip()]
    return {(line["provider"], line["name"]): line for line in decoded}


def _change(status: ProviderStatus, known: ModelRegistry, lines: _Lines, today: date) -> Change:
    """What one list changes; `lines` are changed accordingly."""
    provider = status.provider
    if not status.available:
        return Change(provider=provider, reason=status.reason, hint=status.hint)
    if not status.models:
        return Change(provider=provider, listed=0)
    listed = dict.fromkeys(one for one in status.models if not _NO_CHAT.search(one.name.lower()))
    added, snapshots = [], []
    for model in listed:
        if (provider, model.name) in lines and lines[provider, model.name].get("source") == _SOURCE:
            lines[provider, model.name] |= _described(model)
        elif known.get(model) is None:
            issue_of = known.get(ModelId(provider=provider, name=_stem(model.name)))
            if issue_of is None:
                added.append(model)
                lines[provider, model.name] = _described(model)
            else:
                snapshots.append(model)
                line = _line(lines, issue_of.id)
                line["snapshots"] = sorted({*line.get("snapshots", ()), model.name})
    names = {one.name for one in listed} | {_stem(one.name) for one in listed}
    gone, back = [], []
    for facts in known.models(provider):
        is_listed = not names.isdisjoint((facts.id.name, *facts.snapshots))
        if is_listed and facts.unlisted_since is not None:
            back.append(facts.id)
            _line(lines, facts.id)["unlisted_since"] = None
        elif not is_listed and facts.unlisted_since is None and facts.served(today):
            gone.append(facts.id)
            _line(lines, facts.id)["unlisted_since"] = today.isoformat()
    return Change(
        provider=provider,
        listed=len(listed),
        added=tuple(added),
        snapshots=tuple(snapshots),
        gone=tuple(gone),
        back=tuple(back),
    )


def _stem(name: str) -> str:
    return _ISSUE.sub("", name) or name


def _line(lines: _Lines, model: ModelId) -> dict[str, Any]:
    return lines.setdefault(
        (model.provider, model.name), {"provider": model.provider, "name": model.name}
    )


def _described(model: ModelId) -> dict[str, Any]:
    """A line for a model of which nothing is known but what the price list says."""
    found = look_up(model)
    line: dict[str, Any] = {
        "provider": model.provider,
        "name": model.name,
        "context_tokens": found.context_tokens or None,
        "source": _SOURCE,
    }
    if found.prices:
        line["prices"] = [_without_unknowns(one) for one in found.prices]
    return line


def _without_unknowns(prices: Prices) -> dict[str, Any]:
    fields = msgspec.structs.asdict(prices)
    return {name: value for name, value in fields.items() if value is not None}
