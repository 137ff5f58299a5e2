"""Finds contracts that test nothing.

A precondition that no input satisfies lets every test pass without running; a post-condition
that nothing can break says nothing about the code. Both are searched for with a deterministic
sample of telling inputs: a doubt counts in the contract's favour.
"""

from __future__ import annotations

import ast
from functools import cached_property
from typing import TYPE_CHECKING

from lattice_lock.core._aiming import aimed, places_compared
from lattice_lock.core._observation import cannot_fail
from lattice_lock.core._pools import SEEN_DEPTH, Mined, Pools, holds
from lattice_lock.core._witness_search import Search
from lattice_lock.core.type_refs import JSON, DictType, EntityType, ListType, OptionalType
from lattice_lock.exceptions import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lattice_lock.core.schema import Clause, Entity, Lattice, Method
    from lattice_lock.core.type_refs import TypeRef

__all__ = ["find_unspecified", "find_vacuous", "witnesses"]

_WITNESSES = 48
_CANDIDATES_PER_WITNESS = 8
_FEWEST_WITNESSES = 4
_WIDE = 6  # how much more is tried before a contract is called vacuous


def witnesses(lattice: Lattice, method: Method, limit: int) -> tuple[Mapping[str, object], ...]:
    """Inputs that satisfy a method's constraints and preconditions.

    Declared examples come first, then inputs so that every side of every limit that the contract
    mentions appears early. The same lattice gives the same inputs.

    Args:
        lattice: the lattice that the method belongs to.
        method: the method.
        limit: most inputs to return.

    Returns:
        Per input the value of each parameter; entities are dicts, enum values str.
    """
    search = Search(lattice, method)
    found, _ = search.satisfying(limit * _CANDIDATES_PER_WITNESS)
    examples = len(method.examples)
    ordered = [*found[:examples], *_spread(search, found[examples:])]
    return tuple(ordered[:limit])


def _spread(search: Search, found: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """The same inputs, one of each regime, then the second of each, and so on."""
    groups: dict[tuple[object, ...], list[Mapping[str, object]]] = {}
    for names in found:
        groups.setdefault(search.regime(names), []).append(names)
    longest = max((len(group) for group in groups.values()), default=0)
    return [
        group[index] for index in range(longest) for group in groups.values() if index < len(group)
    ]


def find_vacuous(lattice: Lattice) -> tuple[Problem, ...]:
    """Every contract of a lattice that tests nothing, in the order of the file."""
    found: list[Problem] = []
    for entity in lattice.entities.values():
        found.extend(_entity_problems(lattice, entity))
    for interface in lattice.interfaces.values():
        for method in interface.methods.values():
            found.extend(_method_problems(lattice, method))
    return tuple(sorted(found, key=lambda one: (one.location.line, one.location.column)))


def find_unspecified(lattice: Lattice) -> tuple[Problem, ...]:
    """Methods about which a lattice says nothing but their types."""
    return tuple(
        Problem(
            location=method.location,
            message=f"`{interface.name}.{method.name}` has no contract beyond its types.",
            hint="Add `ensures`, `raises` or `examples`.",
        )
        for interface in lattice.interfaces.values()
        for method in interface.methods.values()
        if not (method.ensures or method.raises or method.examples)
    )


def _entity_problems(lattice: Lattice, entity: Entity) -> Iterator[Problem]:
    if not entity.ensures:
        return
    mined = Mined()
    mined.add_clauses(entity.ensures)
    pools = Pools(lattice, mined)
    values = list(pools.candidates(entity))
    if not values:
        return
    judged = list(filter(_is_searchable, entity.ensures))
    dead = [one for one in judged if not any(holds(one, value) is not False for value in values)]
    for clause in dead:
        yield _problem(
            clause,
            f"No {entity.name} was found that satisfies `{clause.expression.source}`, among"
            f" {len(values)} tried.",
            "Mend the invariant or the limits of the fields.",
        )
    states = [(value, None) for value in values]
    for clause in entity.ensures:
        if _can_judge(clause, pools) and cannot_fail(clause.expression, states, set(entity.fields)):
            yield _always_true(clause)
    if not dead and judged == list(entity.ensures) and not pools.entities(entity.name):
        yield _problem(
            judged[-1],
            f"No {entity.name} was found that satisfies {_listed(judged)}, among {len(values)}"
            " tried.",
            "Mend the invariants.",
        )


class _Evidence:
    """Inputs of one method in growing number; the larger samples are drawn only in doubt."""

    def __init__(self, lattice: Lattice, method: Method) -> None:
        self.method = method
        self._lattice = lattice
        self.search = Search(lattice, method)

    @cached_property
    def few(self) -> list[Mapping[str, object]]:
        return self.search.satisfying(_WITNESSES)[0]

    @cached_property
    def many(self) -> list[Mapping[str, object]]:
        return self.search.satisfying(_WITNESSES * _WIDE)[0]

    @cached_property
    def wide_search(self) -> Search:
        return Search(self._lattice, self.method, breadth=_WIDE)

    def samples(self) -> Iterator[list[Mapping[str, object]]]:
        """Each sample, drawn when it is asked for."""
        yield self.few
        yield self.many
        yield self.most

    @cached_property
    def most(self) -> list[Mapping[str, object]]:
        return self.wide_search.satisfying(_WITNESSES * _WIDE)[0]


def _method_problems(lattice: Lattice, method: Method) -> Iterator[Problem]:
    if not (method.requires or method.ensures or method.raises):
        return
    evidence = _Evidence(lattice, method)
    if not evidence.few:
        yield from _impossible(evidence)
        return
    yield from _raises_problems(evidence)
    for clause in method.ensures:
        if _seems_true(clause, evidence.search, method, evidence.few) and _seems_true(
            clause, evidence.wide_search, method, evidence.most
        ):
            yield _always_true(clause)


def _impossible(evidence: _Evidence) -> Iterator[Problem]:
    """The precondition that nothing satisfies, after a wider search."""
    method, search = evidence.method, evidence.wide_search
    found, tried = search.satisfying(1)
    if found or not search.is_possible or not all(map(_is_searchable, method.requires)):
        return
    inputs = list(search.inputs())
    alone = [one for one in method.requires if not any(holds(one, names) for names in inputs)]
    blamed = alone or list(method.requires)
    yield _problem(
        blamed[-1],
        f"No input was found that satisfies {_listed(blamed)} of `{method.name}`, among {tried}"
        " tried.",
        "Mend it, or add an example that does.",
    )


def _raises_problems(evidence: _Evidence) -> Iterator[Problem]:
    name = evidence.method.name
    for raised in evidence.method.raises:
        clause = raised.clause
        verdict = _only_verdict(clause, evidence)
        if verdict is False and _is_searchable(clause):
            yield _problem(
                clause,
                f"No input of `{name}` was found for which `{clause.expression.source}` holds,"
                f" among {len(evidence.most)} tried, so {raised.exception} is never raised.",
                "Mend the condition, or add an example that raises it.",
            )
        elif verdict is True and len(evidence.most) >= _FEWEST_WITNESSES:
            yield _problem(
                clause,
                f"`{clause.expression.source}` holds for each of {len(evidence.most)} inputs tried,"
                f" so `{name}` could do nothing but raise {raised.exception}.",
                "Mend the condition, or add an example that returns.",
            )


def _only_verdict(clause: Clause, evidence: _Evidence) -> bool | None:
    """What a clause says of every input, None when it says different things or has no value."""
    verdict: bool | None = None
    for sample in evidence.samples():
        verdicts = {holds(clause, names) for names in sample}
        if len(verdicts) != 1:
            return None
        (verdict,) = verdicts
        if verdict is None:
            return None
    return verdict


def _seems_true(
    clause: Clause, search: Search, method: Method, found: Sequence[Mapping[str, object]]
) -> bool:
    states = _states(search, method, found)
    return cannot_fail(clause.expression, states, _free_names(method)) and _can_judge(
        clause, search.pools
    )


def _can_judge(clause: Clause, pools: Pools) -> bool:
    """Whether the values of the pools say something about all values that a clause looks at."""
    if pools.has_gaps:
        return False
    if not pools.is_cut:
        return True
    steps = loops = 0
    for node in ast.walk(clause.expression.tree):
        loops += isinstance(node, ast.comprehension)
        length, inner = 0, node
        while isinstance(inner, ast.Attribute | ast.Subscript):
            length, inner = length + 1, inner.value
        steps = max(steps, length)
    return (loops + 1) * steps + loops <= SEEN_DEPTH


def _states(
    search: Search, method: Method, found: Sequence[Mapping[str, object]]
) -> Iterator[tuple[Mapping[str, object], Mapping[str, object]]]:
    """What a call may leave behind: any result, and any change of what can be changed."""
    returns = method.returns
    results: list[object] = [None]
    if returns.type is not None:
        results = search.pools.values(returns.type, returns.constraints)
    if not results:
        return
    free = _free_names(method)
    changing = sorted(free - {"result"})
    targets = [
        target
        for clause in method.ensures
        for target in places_compared(clause.expression.tree)
        if target.path[0] in free
    ]
    for names in found:
        if any(holds(one.clause, names) for one in method.raises):
            continue
        for result in results:
            yield {**names, "result": result}, names
        for path, state in aimed({**names, "result": results[0]}, targets):
            if search.fits(state, path):
                yield state, names
        for name in changing:
            for value in search.values(name):
                yield {**names, name: value, "result": results[0]}, names


def _free_names(method: Method) -> set[str]:
    """The result, and the parameters that a method can change in place."""
    changing = {name for name, param in method.params.items() if _is_mutable(param.type)}
    return changing | {"result"}


def _is_mutable(kind: TypeRef) -> bool:
    if isinstance(kind, OptionalType):
        return _is_mutable(kind.inner)
    return isinstance(kind, EntityType | ListType | DictType) or kind == JSON


def _is_searchable(clause: Clause) -> bool:
    """Whether a sample without success says something: text and high arithmetic hide needles."""
    for node in ast.walk(clause.expression.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return False
        if isinstance(node, ast.Pow | ast.Mod):
            return False
    return True


def _always_true(clause: Clause) -> Problem:
    return _problem(
        clause,
        f"`{clause.expression.source}` cannot fail: types and constraints already say it.",
        "Remove it, or say what the code must achieve.",
    )


def _problem(clause: Clause, message: str, hint: str) -> Problem:
    return Problem(location=clause.expression.location, message=message, hint=hint)


def _listed(clauses: Sequence[Clause]) -> str:
    return " and ".join(f"`{clause.expression.source}`" for clause in clauses)
