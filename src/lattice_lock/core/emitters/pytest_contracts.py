"""Contracts as readable pytest files driven by Hypothesis.

Each method gets one test that its contract holds, one test per declared error and one per example.
Boundaries found at compile time stand in the file as explicit examples. The files need nothing of
Lattice Lock: plain `pytest` runs them against the implementation in the source tree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from lattice_lock.core import python_types
from lattice_lock.core.emitters.interfaces import dependency_parameter, implementation_module
from lattice_lock.core.emitters.pydantic_types import UNIQUE_ITEMS_CHECK, constrained_annotation
from lattice_lock.core.emitters.python_text import Imports, header, literal, quoted, snake_case
from lattice_lock.core.emitters.strategies import Strategies, narrow
from lattice_lock.core.expressions import (
    EvaluationError,
    constants,
    evaluate,
    old_variables,
    to_python,
)
from lattice_lock.core.type_refs import (
    JSON,
    DictType,
    EntityType,
    ListType,
    OptionalType,
    TypeRef,
    entities_in,
)
from lattice_lock.core.vacuity import witnesses

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lattice_lock.core.schema import Clause, Entity, Example, Interface, Lattice, Method, Raises

__all__ = ["contract_path", "emit_contracts"]

_MOST_EXAMPLES = 8
_LONGEST_EXAMPLE = 500
_WITNESSES = 200
_MOST_CONSTANTS = 12

# Names that a contract file uses itself; a parameter of that name gets an underscore.
_TAKEN = frozenset(
    {
        "Annotated",
        "Any",
        "Decimal",
        "HealthCheck",
        "TypeAdapter",
        "UTC",
        "UUID",
        "ValidationError",
        "assume",
        "contract",
        "date",
        "datetime",
        "deepcopy",
        "example",
        "expected",
        "given",
        "mismatch",
        "problem",
        "result",
        "settings",
        "st",
        "timedelta",
    }
)

_MISMATCH = '''
def mismatch(value: object, declared: TypeAdapter[Any]) -> str:
    """How a value differs from what the lattice declares, empty where it does not."""
    try:
        declared.validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return ""
'''

_RETURNED = ' + f"; returned {result!r}"'
_SHOWN = "{type(result).__name__} {result!r}"

_SETTINGS = """
# Time per example is the Gauntlet's business, and rare inputs are worth a search.
contract = settings(
    deadline=None,
    suppress_health_check=[
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
        HealthCheck.too_slow,
    ],
)
"""


def contract_path(interface: Interface) -> str:
    """Where the contract file of an interface is written, relative to the project."""
    return f"tests/contracts/test_{snake_case(interface.name)}.py"


def emit_contracts(
    lattice: Lattice, interface: Interface
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Text of an interface's contract file.

    Returns:
        The text, and the name of every test function with the method it judges.
    """
    return _ContractFile(lattice, interface).render()


@dataclass(slots=True)
class _ContractFile:
    lattice: Lattice
    interface: Interface
    imports: Imports = field(default_factory=lambda: Imports(home=""))
    tests: list[tuple[str, str]] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)

    def render(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        strategies = Strategies(self.lattice, self.imports, self._constants())
        for method in self.interface.methods.values():
            self._method(method, strategies)
        entities = [
            strategies.entity_function(self.lattice.entities[name])
            for name in _reachable(self.interface, self.lattice)
        ]
        self.imports.add([("typing", "Any"), ("pydantic", "TypeAdapter")])
        self.imports.add([("pydantic", "ValidationError")])
        transitions = [
            _transition_table(entity) for entity in self._used_entities() if entity.transitions
        ]
        head = "".join([*transitions, *self.results])
        helper = f"\n\n{UNIQUE_ITEMS_CHECK}\n" if "_without_repetition" in head else ""
        generates = any(one.startswith("@contract") for one in self.blocks)
        head += _SETTINGS if generates else ""
        body = f"{helper}\n{head}\n{_MISMATCH}" if head else _MISMATCH
        body += "".join(f"\n\n{block}" for block in [*entities, *self.blocks])
        text = header(self.lattice, f"Contracts of `{self.interface.name}`.")
        text += f"\n{self.imports.render(body)}\n{body}"
        return text, tuple(self.tests)

    def _constants(self) -> tuple[object, ...]:
        found: dict[str, object] = {}
        for method in self.interface.methods.values():
            clauses = [*method.requires, *method.ensures, *(one.clause for one in method.raises)]
            for clause in clauses:
                for one in constants(clause.expression):
                    found.setdefault(repr(one), one)
        return tuple(found.values())[:_MOST_CONSTANTS]

    def _used_entities(self) -> list[Entity]:
        return [self.lattice.entities[name] for name in _reachable(self.interface, self.lattice)]

    # One method ----------------------------------------------------------------------------------

    def _method(self, method: Method, strategies: Strategies) -> None:
        inputs = witnesses(self.lattice, method, _WITNESSES)
        for raised in method.raises:
            self._raises_test(method, raised, inputs, strategies)
        if not _always_raises(method):
            self._keeps_test(method, inputs, strategies)
        for number, one in enumerate(method.examples):
            self._example_test(method, number, one)

    def _keeps_test(
        self, method: Method, inputs: Iterable[Mapping[str, object]], strategies: Strategies
    ) -> None:
        name = f"test_{method.name}_keeps_its_contract"
        names = self._names(method)
        conditions = self._preconditions(method, names)
        conditions += [f"not ({self._python(one.clause, names)})" for one in method.raises]
        before: dict[str, None] = {}
        after = []
        for clause in method.ensures:
            condition = to_python(clause.expression, names={**names, "result": "result"})
            self.imports.add_needs(condition.needs)
            before.update((f"{name} = {text}", None) for name, text in condition.captures)
            after += _assertion(condition.text, f"{_message(clause)}{_RETURNED}")
        untouched_before, untouched_after = self._untouched(method, names)
        transition_before, transition_after = self._transitions(method, names)
        body = [f"assume({text})" for text in conditions]
        body += [*before, *untouched_before, *transition_before]
        body += [f"result = {self._call(method, names)}", *self._returned(method)]
        body += [*untouched_after, *transition_after, *after]
        chosen = [one for one in inputs if not any(_holds(r.clause, one) for r in method.raises)]
        self._test(name, method, chosen, strategies, body)

    def _raises_test(
        self,
        method: Method,
        raised: Raises,
        inputs: Iterable[Mapping[str, object]],
        strategies: Strategies,
    ) -> None:
        name = f"test_{method.name}_raises_{snake_case(raised.exception)}"
        names = self._names(method)
        conditions = [*self._preconditions(method, names), self._python(raised.clause, names)]
        others = [one for one in method.raises if one is not raised]
        caught = raised.exception
        body = [f"assume({text})" for text in conditions]
        if others:
            body.append(f"expected: tuple[type[Exception], ...] = ({caught},)")
            for one in others:
                body.append(f"if {self._python(one.clause, names)}:")
                body.append(f"    expected += ({one.exception},)")
            caught = "expected"
        message = quoted(
            f"{raised.clause.path}: {raised.exception} expected, because"
            f" {raised.clause.expression.source}"
        )
        body += [
            "try:",
            f"    result = {self._call(method, names)}",
            f"except {caught}:",
            "    return",
            f"raise AssertionError({message}{_RETURNED})",
        ]
        chosen = [one for one in inputs if _holds(raised.clause, one)]
        self._test(name, method, chosen, strategies, body)

    def _example_test(self, method: Method, number: int, one: Example) -> None:
        name = f"test_{method.name}_example_{number}"
        entities = self.lattice.entities
        values = {
            param: literal(one.args[param], declared.type, entities)
            for param, declared in method.params.items()
        }
        for declared in method.params.values():
            self._import_type(declared.type)
        path = f"interfaces.{self.interface.name}.methods.{method.name}.examples[{number}]"
        call = f"{self._service()}.{method.name}({_keywords(values)})"
        body = [f"result = {call}"]
        if one.raises is not None:
            message = f'"{path}: {one.raises} expected"{_RETURNED}'
            body = ["try:", f"    result = {call}", f"except {one.raises}:", "    return"]
            body.append(f"raise AssertionError({message})")
        elif method.returns.type is None:
            body += _assertion("result is None", f'"{path}: expected None"')
        else:
            self._import_type(method.returns.type)
            expected = literal(one.returns, method.returns.type, entities)
            body += self._returned(method)
            body += [f"expected = {expected}"]
            body += _assertion(
                "result == expected", f'f"{path}: expected {{expected!r}}, got {{result!r}}"'
            )
        self.tests.append((name, method.name))
        self.blocks.append(f"def {name}() -> None:\n{_indented(body)}")

    # Pieces --------------------------------------------------------------------------------------

    def _test(
        self,
        name: str,
        method: Method,
        inputs: Iterable[Mapping[str, object]],
        strategies: Strategies,
        body: list[str],
    ) -> None:
        self.tests.append((name, method.name))
        names = self._names(method)
        head = ""
        if method.params:
            self.imports.add_module("hypothesis.strategies as st")
            self.imports.add(("hypothesis", one) for one in ("HealthCheck", "given", "settings"))
            head = "@contract\n" + self._given(method, strategies)
            for text in self._boundaries(method, inputs):
                self.imports.add([("hypothesis", "example")])
                head += f"@example({text})\n"
            if any(line.startswith("assume(") for line in body):
                self.imports.add([("hypothesis", "assume")])
        params = ", ".join(
            f"{names[param.name]}: {python_types.annotation(param.type)}"
            for param in method.params.values()
        )
        self.blocks.append(f"{head}def {name}({params}) -> None:\n{_indented(body)}")

    def _boundaries(self, method: Method, inputs: Iterable[Mapping[str, object]]) -> Iterable[str]:
        """The first inputs that a person can still read."""
        names = self._names(method)
        texts = (
            _keywords(
                {
                    names[param]: literal(one[param], declared.type, self.lattice.entities)
                    for param, declared in method.params.items()
                }
            )
            for one in inputs
        )
        return islice((text for text in texts if len(text) <= _LONGEST_EXAMPLE), _MOST_EXAMPLES)

    def _given(self, method: Method, strategies: Strategies) -> str:
        limits = {name: param.constraints for name, param in method.params.items()}
        for clause in method.requires:
            limits, _ = narrow(clause, limits)
        names = self._names(method)
        for param in method.params.values():
            self._import_type(param.type)
        given = "".join(
            f"    {names[name]}={strategies.strategy(param.type, limits[name])},\n"
            for name, param in method.params.items()
        )
        return f"@given(\n{given})\n"

    def _preconditions(self, method: Method, names: Mapping[str, str]) -> list[str]:
        """Preconditions that the strategies do not fulfil by construction, as Python text."""
        limits = {name: param.constraints for name, param in method.params.items()}
        remaining = []
        for clause in method.requires:
            limits, complete = narrow(clause, limits)
            if not complete or _optional_names(clause, method):
                remaining.append(self._python(clause, names))
        return remaining

    def _returned(self, method: Method) -> list[str]:
        path = f"interfaces.{self.interface.name}.methods.{method.name}.returns"
        if method.returns.type is None:
            return _assertion("result is None", f'f"{path}: expected None, got {_SHOWN}"')
        name = f"{method.name.upper()}_RETURNS"
        annotation = constrained_annotation(
            method.returns.type, method.returns.constraints, self.lattice, self.imports
        )
        declaration = f"{name}: TypeAdapter[Any] = TypeAdapter({annotation})\n"
        if declaration not in self.results:
            self.results.append(declaration)
        shown = f'f"{path}: expected {method.returns.type}, got {_SHOWN}: {{problem}}"'
        return [f"problem = mismatch(result, {name})", *_assertion("not problem", shown)]

    def _transitions(self, method: Method, names: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """Checks that a method which takes and returns one entity respects its transitions."""
        returned = method.returns.type
        if not isinstance(returned, EntityType):
            return [], []
        entity = self.lattice.entities[returned.name]
        same = [one for one in method.params.values() if one.type == returned]
        if len(same) != 1 or not entity.transitions:
            return [], []
        given = names[same[0].name]
        keys = [one.name for one in entity.fields.values() if one.primary_key]
        is_same = " and ".join(f"result.{key} == {given}.{key}" for key in keys)
        before, after = [], []
        for name in entity.transitions:
            before.append(f"{name}_before = {given}.{name}")
            table = _transition_name(entity, name)
            moved = f"result.{name} in {{{name}_before, *{table}.get({name}_before, ())}}"
            condition = f"not ({is_same}) or {moved}" if keys else moved
            message = (
                f'f"entities.{entity.name}.transitions.{name}: {{{name}_before}} may not become'
                f' {{result.{name}}}"'
            )
            after += _assertion(condition, message)
        return before, after

    def _untouched(self, method: Method, names: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """Checks that arguments stay as they were.

        Else a body could change an argument so that the post-condition fits its result. A
        method that is meant to change one says so by `old(...)` of it.
        """
        declared = {
            variable for clause in method.ensures for variable in old_variables(clause.expression)
        }
        before, after = [], []
        for param in method.params.values():
            if param.name in declared or not self._is_mutable(param.type, set()):
                continue
            given = names[param.name]
            snapshot = f"{given}_before"
            while snapshot in names.values():
                snapshot += "_"
            before.append(f"{snapshot} = deepcopy({given})")
            self.imports.add_needs(["deepcopy"])
            path = f"interfaces.{self.interface.name}.methods.{method.name}.params.{param.name}"
            message = (
                f"{path}: the argument must not be changed, as no clause says old({param.name})"
            )
            after += _assertion(f"{given} == {snapshot}", quoted(message))
        return before, after

    def _is_mutable(self, type_ref: TypeRef, seen: set[str]) -> bool:
        match type_ref:
            case ListType() | DictType():
                return True
            case OptionalType(inner):
                return self._is_mutable(inner, seen)
            case EntityType(name) if name not in seen:
                fields = self.lattice.entities[name].fields.values()
                return any(self._is_mutable(one.type, {*seen, name}) for one in fields)
            case _:
                return type_ref == JSON

    def _names(self, method: Method) -> dict[str, str]:
        return {name: f"{name}_" if name in _TAKEN else name for name in method.params}

    def _python(self, clause: Clause, names: Mapping[str, str]) -> str:
        condition = to_python(clause.expression, names=names)
        self.imports.add_needs(condition.needs)
        return condition.text

    def _import_type(self, type_ref: TypeRef) -> None:
        module = self.lattice.generated_module
        self.imports.add(python_types.imports(type_ref, generated_module=module))
        for name in entities_in(type_ref):
            for one in self.lattice.entities[name].fields.values():
                self.imports.add(python_types.imports(one.type, generated_module=module))

    def _call(self, method: Method, names: Mapping[str, str]) -> str:
        return f"{self._service()}.{method.name}({_keywords(names)})"

    def _service(self) -> str:
        return self._construct(self.interface)

    def _construct(self, interface: Interface) -> str:
        module = implementation_module(self.lattice, interface)
        self.imports.add([(module, interface.class_name)])
        dependencies = (self.lattice.interfaces[name] for name in interface.depends_on)
        given = {dependency_parameter(one): self._construct(one) for one in dependencies}
        return f"{interface.class_name}({_keywords(given)})"


def _reachable(interface: Interface, lattice: Lattice) -> list[str]:
    """Entities that the parameters of an interface need, in the order of the lattice."""
    pending = [
        param.type for method in interface.methods.values() for param in method.params.values()
    ]
    seen: set[str] = set()
    while pending:
        for name in entities_in(pending.pop()):
            if name not in seen:
                seen.add(name)
                pending += [one.type for one in lattice.entities[name].fields.values()]
    return [name for name in lattice.entities if name in seen]


def _always_raises(method: Method) -> bool:
    return any(one.clause.expression.source == "True" for one in method.raises)


def _optional_names(clause: Clause, method: Method) -> bool:
    source = clause.expression.source
    return any(
        isinstance(param.type, OptionalType) and name in source
        for name, param in method.params.items()
    )


def _holds(clause: Clause, values: Mapping[str, object]) -> bool:
    try:
        return bool(evaluate(clause.expression, values, old=None))
    except EvaluationError:
        return False


def _message(clause: Clause) -> str:
    named = f"{clause.name}: " if clause.name else ""
    return quoted(f"{clause.path}: {named}{clause.expression.source}")


def _assertion(condition: str, message: str) -> list[str]:
    return [f"assert {condition}, (", f"    {message}", ")"]


def _indented(lines: Iterable[str]) -> str:
    return "".join(f"    {line}\n" for line in lines)


def _keywords(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={text}" for name, text in values.items())


def _transition_name(entity: Entity, name: str) -> str:
    return f"{snake_case(entity.name)}_{name}_transitions".upper()


def _transition_table(entity: Entity) -> str:
    return "".join(
        f"{_transition_name(entity, name)}: dict[str, tuple[str, ...]] = {_table(table)}\n"
        for name, table in entity.transitions.items()
    )


def _table(table: Mapping[str, tuple[str, ...]]) -> str:
    rows = "".join(
        f"    {quoted(state)}: ({''.join(f'{quoted(one)}, ' for one in after).rstrip()}),\n"
        for state, after in table.items()
    )
    return f"{{\n{rows}}}"
