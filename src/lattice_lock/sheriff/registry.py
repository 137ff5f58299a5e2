"""Finds the rules: every module of `lattice_lock.sheriff.rules` holds one."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from lattice_lock.exceptions import InternalError
from lattice_lock.sheriff import rules
from lattice_lock.sheriff.rule import Rule

__all__ = ["load_rules"]


@functools.cache
def load_rules() -> tuple[Rule, ...]:
    """One instance of each rule, ordered by identifier.

    Raises:
        InternalError: a module holds no rule or several, or two rules share a name or identifier.
    """
    found = [_rule_in(info.name) for info in pkgutil.iter_modules(rules.__path__)]
    found.sort(key=lambda rule: rule.id)
    for attribute in ("id", "name"):
        values = [getattr(rule, attribute) for rule in found]
        if len(set(values)) < len(values):
            raise InternalError(f"two Sheriff rules share their {attribute}: {sorted(values)}.")
    return tuple(found)


def _rule_in(module_name: str) -> Rule:
    module = importlib.import_module(f"{rules.__name__}.{module_name}")
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Rule)
        and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise InternalError(
            f"`{module.__name__}` defines {len(classes)} rules.",
            hint="Every module of `sheriff/rules` defines exactly one.",
        )
    return classes[0]()
