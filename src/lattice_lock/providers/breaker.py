"""Leaves a model alone while its provider is down, and looks after it with one call at a time.

    closed     calls pass; failed calls in a row are counted
    open       calls are refused until the cooldown is over
    half-open  one call passes as the probe and decides: closed again, or open for twice as long

One `Breakers` holds the state of every model. It may be shared by any number of clients, event
loops and threads; a model in good health has no state and costs one look into an empty table.

Besides, a provider's `Retry-After` holds for all who call the model, not only for the one who got
it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from lattice_lock.exceptions import ProviderUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lattice_lock.messages import ModelId

__all__ = ["BreakerPolicy", "Breakers"]

_MAX_MODELS = 4096
_ORDINARY = 0
_BESIDES = -1


class BreakerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When a model is left alone, and for how long.

    Attributes:
        failures: calls in a row that fail, retries included, before the breaker opens.
        cooldown_s: seconds until the first probe; they double with every probe that fails.
        max_cooldown_s: bound on that, and on what a provider's `Retry-After` makes others wait.
    """

    failures: int = 5
    cooldown_s: float = 10.0
    max_cooldown_s: float = 120.0


@dataclass(slots=True)
class _Trouble:
    """What is remembered of a model that failed; `due` is None while the breaker is closed."""

    failures: int = 0
    due: float | None = None
    cooldown_s: float = 0.0
    probe: int = _ORDINARY


class Breakers:
    """The breaker of every model, by provider and name.

    Whoever calls a model asks `admit` for a ticket and hands it back once: to `answered`,
    to `failed`, or to `dropped` where the call ended without showing anything.

    Args:
        clock: seconds that only grow.
    """

    def __init__(
        self,
        policy: BreakerPolicy = BreakerPolicy(),  # noqa: B008  # immutable
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._troubles: dict[ModelId, _Trouble] = {}
        self._cooling: dict[ModelId, float] = {}

    def admit(self, model: ModelId, *, last_resort: bool = False) -> int:
        """The ticket for one call.

        Args:
            last_resort: nobody else can be asked, so the call passes whatever the state is.

        Raises:
            ProviderUnavailableError: the breaker is open, or a probe is under way;
                `retry_after_s` says when to ask again.
        """
        if model not in self._troubles:
            return _ORDINARY
        with self._lock:
            trouble = self._troubles.get(model)
            if trouble is None or trouble.due is None:
                return _ORDINARY
            left_s = max(0.0, trouble.due - self._clock())
            if trouble.probe == _ORDINARY and (left_s == 0.0 or last_resort):
                trouble.probe = next(self._numbers)
                return trouble.probe
        if last_resort:
            return _BESIDES
        raise refusal(model, left_s)

    def may_retry(self, model: ModelId, ticket: int) -> bool:
        """Whether the call may try again: not where it is a probe or the breaker has opened."""
        trouble = self._troubles.get(model)
        return ticket == _ORDINARY and (trouble is None or trouble.due is None)

    def answered(self, model: ModelId, ticket: int) -> None:
        """The provider is there. A call from before the breaker opened does not close it."""
        if model not in self._troubles:
            return
        with self._lock:
            trouble = self._troubles.get(model)
            if trouble is not None and (
                trouble.due is None or ticket in {_BESIDES, trouble.probe} - {_ORDINARY}
            ):
                del self._troubles[model]

    def failed(self, model: ModelId, ticket: int) -> None:
        """The provider is not there, or not for this model."""
        with self._lock:
            trouble = self._troubles.get(model)
            if trouble is None:
                if ticket != _ORDINARY:
                    return
                if len(self._troubles) >= _MAX_MODELS:
                    del self._troubles[next(iter(self._troubles))]
                trouble = self._troubles[model] = _Trouble()
            if trouble.due is None:
                trouble.failures += 1
                if trouble.failures >= self._policy.failures:
                    self._open(trouble, self._policy.cooldown_s)
            elif ticket != _ORDINARY and ticket == trouble.probe:
                self._open(trouble, trouble.cooldown_s * 2.0)

    def dropped(self, model: ModelId, ticket: int) -> None:
        """The call showed nothing; if it was the probe, the next call is."""
        if ticket == _ORDINARY:
            return
        with self._lock:
            trouble = self._troubles.get(model)
            if trouble is not None and trouble.probe == ticket:
                trouble.probe = _ORDINARY

    def cool_down(self, model: ModelId, seconds: float) -> None:
        """Let everyone wait `seconds`, as the provider has asked, within the policy's bound."""
        until = self._clock() + min(seconds, self._policy.max_cooldown_s)
        with self._lock:
            if len(self._cooling) >= _MAX_MODELS:
                del self._cooling[next(iter(self._cooling))]
            self._cooling[model] = max(until, self._cooling.get(model, until))

    def cooling_s(self, model: ModelId) -> float:
        """Seconds that the provider still wants to be left alone, zero where it does not."""
        if model not in self._cooling:
            return 0.0
        with self._lock:
            left_s = self._cooling.get(model, 0.0) - self._clock()
            if left_s <= 0.0:
                self._cooling.pop(model, None)
        return max(0.0, left_s)

    def left_alone_s(self) -> dict[ModelId, float]:
        """Seconds until each model that is left alone now may be asked; others are not in it."""
        if not self._troubles and not self._cooling:
            return {}
        with self._lock:
            now = self._clock()
            until = {model: at for model, at in self._cooling.items() if at > now}
            for model, trouble in self._troubles.items():
                if trouble.due is not None and trouble.due > now:
                    until[model] = max(trouble.due, until.get(model, now))
        return {model: at - now for model, at in until.items()}

    def _open(self, trouble: _Trouble, cooldown_s: float) -> None:
        trouble.cooldown_s = min(cooldown_s, self._policy.max_cooldown_s)
        trouble.due = self._clock() + trouble.cooldown_s
        trouble.probe = _ORDINARY


def refusal(model: ModelId, left_s: float) -> ProviderUnavailableError:
    """The error for a call to a model that is left alone for `left_s` more seconds."""
    return ProviderUnavailableError(
        f"`{model}` is left alone after failing, for {left_s:.1f} s more.",
        provider=model.provider,
        model=model.name,
        retry_after_s=left_s,
        hint="Ask again then, or ask another model in the meantime.",
    )
