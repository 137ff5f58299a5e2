"""Contracts as readable pytest files driven by Hypothesis.

Each method gets one test that its contract holds, one test per declared error and one per example.
An interface with several methods gets one more, which calls them in any order on one object.
Dependencies are replaced by fakes that keep their own contracts; only examples, which name results
of the real ones, are run with these. Boundaries found at compile time stand in the file as
explicit examples. The files need nothing of Lattice Lock: plain `pytest` runs them against the
implementation in the source tree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from lattice_lock.core.emitters._call_sequences import (
    HELPERS,
    SEQUENCE_SETTINGS,
    SEQUENCE_TEST,
    keeping_name,
    raising_name,
    write_machine,
)
from lattice_lock.core.emitters._contract_pieces import (
    Pieces,
    assertion,
    indented,
    is_mutable,
    keywords,
    message,
)
from lattice_lock.core.emitters._fake_dependencies import (
    FAKE,
    can_stand_in,
    fake_class,
    fake_strategy,
    write_fake,
)
from lattice_lock.core.emitters.interfaces import dependency_parameter
from lattice_lock.core.emitters.pydantic_types import UNIQUE_ITEMS_CHECK
from lattice_lock.core.emitters.python_text import Imports, header, literal, quoted, snake_case
from lattice_lock.core.emitters.strategies import Strategies
from lattice_lock.core.expressions import (
    EvaluationError,
    constants,
    evaluate,
    old_variables,
    to_python,
)
from lattice_lock.core.python_types import annotation
from lattice_lock.core.type_refs import EntityType, entities_in
from lattice_lock.core.vacuity import witnesses

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lattice_lock.core.schema import Clause, Entity, Example, Interface, Lattice, Method
    from lattice_lock.core.type_refs import TypeRef

__all__ = ["ANY_METHOD", "contract_path", "emit_contracts"]

ANY_METHOD: Final = "*"
"""What stands for the method of a test that calls several."""

_MOST_EXAMPLES = 8
_LONGEST_EXAMPLE = 500
_WITNESSES = 200
_MOST_CONSTANTS = 12
_FEWEST_METHODS_IN_SEQUENCE = 2

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
    pieces: Pieces = field(init=False)
    strategies: Strategies = field(init=False)
    fakes: dict[str, Interface] = field(default_factory=dict)
    inputs: dict[str, Sequence[Mapping[str, object]]] = field(default_factory=dict)
    tests: list[tuple[str, str]] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        imports = Imports(home="")
        self.pieces = Pieces(self.lattice, imports)
        self.strategies = Strategies(self.lattice, imports, self._constants())
        dependencies = [self.lattice.interfaces[name] for name in self.interface.depends_on]
        params = {name for one in self.interface.methods.values() for name in one.params}
        for one in dependencies:
            if can_stand_in(self.lattice, one):
                name = dependency_parameter(one)
                while name in params:
                    name = f"fake_{name}"
                self.fakes[name] = one

    @property
    def _has_sequences(self) -> bool:
        return len(self.interface.methods) >= _FEWEST_METHODS_IN_SEQUENCE

    def render(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        for method in self.interface.methods.values():
            self._method(method)
        fakes = [
            block
            for one in self.fakes.values()
            for block in write_fake(one, self.pieces, self.strategies)
        ]
        rows: list[str] = []
        machine: list[str] = []
        if self._has_sequences:
            rows, text = self._machine()
            machine = [text]
            self.tests.append((SEQUENCE_TEST, ANY_METHOD))
        entities = [self.strategies.entity_function(one) for one in self._used_entities()]
        self.pieces.imports.add([("typing", "Any"), ("pydantic", "TypeAdapter")])
        self.pieces.imports.add([("pydantic", "ValidationError")])
        head = "".join(
            [
                *(_transition_table(one) for one in self._changing_entities()),
                *(
                    f"{name}: TypeAdapter[Any] = {text}\n"
                    for name, text in self.pieces.adapters.items()
                ),
                *rows,
            ]
        )
        unique = f"\n\n{UNIQUE_ITEMS_CHECK}\n" if "_without_repetition" in head else ""
        if machine or any(one.startswith("@contract") for one in self.blocks):
            head += _SETTINGS
        head += SEQUENCE_SETTINGS if machine else ""
        body = f"{unique}\n{head}\n{_MISMATCH}" if head else _MISMATCH
        body += f"\n{FAKE}" if fakes else ""
        body += f"\n{HELPERS}" if machine else ""
        body += "".join(f"\n\n{block}" for block in [*entities, *fakes, *self.blocks, *machine])
        text = header(self.lattice, f"Contracts of `{self.interface.name}`.")
        text += f"\n{self.pieces.imports.render(body)}\n{body}"
        return text, tuple(self.tests)

    def _machine(self) -> tuple[list[str], str]:
        fakes = {
            name: (fake_class(one), f"{fake_strategy(one)}()") for name, one in self.fakes.items()
        }
        return write_machine(
            self.interface,
            self.pieces,
            self.strategies,
            construct=self._construct(),
            fakes=fakes,
            inputs=self.inputs,
            returning=lambda method: not _always_raises(method),
        )

    def _constants(self) -> tuple[object, ...]:
        """Numbers and texts that conditions mention, those of dependencies last."""
        found: dict[str, object] = {}
        names = [self.interface.name, *self.interface.depends_on]
        for method in (
            one for name in names for one in self.lattice.interfaces[name].methods.values()
        ):
            clauses = [*method.requires, *method.ensures, *(one.clause for one in method.raises)]
            for clause in clauses:
                for one in constants(clause.expression):
                    found.setdefault(repr(one), one)
        return tuple(found.values())[:_MOST_CONSTANTS]

    def _used_entities(self) -> list[Entity]:
        """Entities that arguments, and answers of fakes, are made of."""
        kinds = [
            param.type
            for method in self.interface.methods.values()
            for param in method.params.values()
        ]
        for interface in self.fakes.values():
            returned = (method.returns.type for method in interface.methods.values())
            kinds += [kind for kind in returned if kind is not None]
        return [self.lattice.entities[name] for name in _reachable(kinds, self.lattice)]

    def _changing_entities(self) -> list[Entity]:
        kinds = [
            param.type
            for method in self.interface.methods.values()
            for param in method.params.values()
        ]
        found = (self.lattice.entities[name] for name in _reachable(kinds, self.lattice))
        return [one for one in found if one.transitions]

    # One method ----------------------------------------------------------------------------------

    def _method(self, method: Method) -> None:
        inputs = self.inputs[method.name] = witnesses(self.lattice, method, _WITNESSES)
        for number in range(len(method.raises)):
            self._raises_test(method, number, inputs)
        if not _always_raises(method):
            self._keeps_test(method, inputs)
        for number, one in enumerate(method.examples):
            self._example_test(method, number, one)

    def _keeps_test(self, method: Method, inputs: Iterable[Mapping[str, object]]) -> None:
        names = self.pieces.names(method)
        conditions = self.pieces.preconditions(method)
        conditions += [f"not ({self.pieces.python(one.clause, names)})" for one in method.raises]
        before: dict[str, None] = {}
        after = []
        for clause in method.ensures:
            condition = to_python(clause.expression, names={**names, "result": "result"})
            self.pieces.imports.add_needs(condition.needs)
            before.update((f"{name} = {text}", None) for name, text in condition.captures)
            after += assertion(condition.text, f"{message(clause)}{_RETURNED}")
        untouched_before, untouched_after = self._untouched(method, names)
        transition_before, transition_after = self._transitions(method, names)
        body = [*before, *untouched_before, *transition_before]
        body += [f"result = {self._call(method, names)}", *self._returned(method)]
        body += [*untouched_after, *transition_after, *after]
        chosen = [one for one in inputs if not any(_holds(r.clause, one) for r in method.raises)]
        self._test(keeping_name(method), method, chosen, conditions, body, returns=True)

    def _raises_test(
        self, method: Method, number: int, inputs: Iterable[Mapping[str, object]]
    ) -> None:
        raised = method.raises[number]
        names = self.pieces.names(method)
        conditions = [
            *self.pieces.preconditions(method),
            self.pieces.python(raised.clause, names),
        ]
        others = [one for one in method.raises if one is not raised]
        caught = raised.exception
        body = []
        if others:
            body.append(f"expected: tuple[type[Exception], ...] = ({caught},)")
            for one in others:
                body.append(f"if {self.pieces.python(one.clause, names)}:")
                body.append(f"    expected += ({one.exception},)")
            caught = "expected"
        text = quoted(
            f"{raised.clause.path}: {raised.exception} expected, because"
            f" {raised.clause.expression.source}"
        )
        body += [
            "try:",
            f"    result = {self._call(method, names)}",
            f"except {caught}:",
            "    return",
            f"raise AssertionError({text}{_RETURNED})",
        ]
        chosen = [one for one in inputs if _holds(raised.clause, one)]
        self._test(raising_name(method, number), method, chosen, conditions, body, returns=False)

    def _example_test(self, method: Method, number: int, one: Example) -> None:
        name = f"test_{method.name}_example_{number}"
        entities = self.lattice.entities
        values = {
            param: literal(one.args[param], declared.type, entities)
            for param, declared in method.params.items()
        }
        for declared in method.params.values():
            self.pieces.import_type(declared.type)
        path = f"interfaces.{self.interface.name}.methods.{method.name}.examples[{number}]"
        call = f"{self.pieces.construct(self.interface)}.{method.name}({keywords(values)})"
        body = [f"result = {call}"]
        if one.raises is not None:
            text = f'"{path}: {one.raises} expected"{_RETURNED}'
            body = ["try:", f"    result = {call}", f"except {one.raises}:", "    return"]
            body.append(f"raise AssertionError({text})")
        elif method.returns.type is None:
            body += assertion("result is None", f'"{path}: expected None"')
        else:
            self.pieces.import_type(method.returns.type)
            expected = literal(one.returns, method.returns.type, entities)
            body += self._returned(method)
            body += [f"expected = {expected}"]
            body += assertion(
                "result == expected", f'f"{path}: expected {{expected!r}}, got {{result!r}}"'
            )
        self.tests.append((name, method.name))
        self.blocks.append(f"def {name}() -> None:\n{indented(body)}")

    # Pieces --------------------------------------------------------------------------------------

    def _test(
        self,
        name: str,
        method: Method,
        inputs: Iterable[Mapping[str, object]],
        conditions: Sequence[str],
        body: list[str],
        *,
        returns: bool,
    ) -> None:
        """Add a test, and the function with its body where sequences of calls need it too."""
        self.tests.append((f"test_{name}", method.name))
        names = self.pieces.names(method)
        head = self._head(method, inputs)
        if conditions and head:
            self.pieces.imports.add([("hypothesis", "assume")])
        params = self.pieces.parameters(method)
        fakes = {name: fake_class(one) for name, one in self.fakes.items()}
        given = ", ".join(
            [*([params] if params else []), *(f"{one}: {cls}" for one, cls in fakes.items())]
        )
        lines = [f"assume({text})" for text in conditions]
        if self._has_sequences:
            self._shared(name, method, body, returns=returns)
            values = ", ".join([self._construct(), *names.values()])
            lines.append(f"{name}({values})")
        else:
            lines += body
        self.blocks.append(f"{head}def test_{name}({given}) -> None:\n{indented(lines)}")

    def _shared(self, name: str, method: Method, body: list[str], *, returns: bool) -> None:
        returned = "None"
        lines = list(body)
        if returns and method.returns.type is not None:
            self.pieces.import_type(method.returns.type)
            returned = annotation(method.returns.type)
            lines.append("return result")
        params = self.pieces.parameters(method)
        taken = ", ".join([f"service: {self.interface.class_name}", *([params] if params else [])])
        self.blocks.append(f"def {name}({taken}) -> {returned}:\n{indented(lines)}")

    def _head(self, method: Method, inputs: Iterable[Mapping[str, object]]) -> str:
        """The decorators of a test."""
        if not (method.params or self.fakes):
            return ""
        imports = self.pieces.imports
        imports.add_module("hypothesis.strategies as st")
        imports.add(("hypothesis", one) for one in ("HealthCheck", "given", "settings"))
        head = f"@contract\n{self._given(method)}"
        for text in self._boundaries(method, inputs):
            imports.add([("hypothesis", "example")])
            head += f"@example({text})\n"
        return head

    def _boundaries(self, method: Method, inputs: Iterable[Mapping[str, object]]) -> Iterator[str]:
        """The first inputs that a person can still read."""
        names = self.pieces.names(method)
        texts = (
            {
                names[param]: literal(one[param], declared.type, self.lattice.entities)
                for param, declared in method.params.items()
            }
            for one in inputs
        )
        short = (one for one in texts if len(keywords(one)) <= _LONGEST_EXAMPLE)
        for number, one in enumerate(islice(short, _MOST_EXAMPLES)):
            turn = number or ""
            fakes = {name: f"{fake_class(fake)}({turn})" for name, fake in self.fakes.items()}
            yield keywords(one | fakes)

    def _given(self, method: Method) -> str:
        limits = self.pieces.limits(method)
        names = self.pieces.names(method)
        drawn = {
            names[name]: self.strategies.strategy(param.type, limits[name])
            for name, param in method.params.items()
        }
        drawn |= {name: f"{fake_strategy(one)}()" for name, one in self.fakes.items()}
        given = "".join(f"    {name}={text},\n" for name, text in drawn.items())
        return f"@given(\n{given})\n"

    def _returned(self, method: Method) -> list[str]:
        path = f"interfaces.{self.interface.name}.methods.{method.name}.returns"
        if method.returns.type is None:
            return assertion("result is None", f'f"{path}: expected None, got {_SHOWN}"')
        name = self.pieces.adapter(
            f"{method.name.upper()}_RETURNS", method.returns.type, method.returns.constraints
        )
        shown = f'f"{path}: expected {method.returns.type}, got {_SHOWN}: {{problem}}"'
        return [f"problem = mismatch(result, {name})", *assertion("not problem", shown)]

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
            text = (
                f'f"entities.{entity.name}.transitions.{name}: {{{name}_before}} may not become'
                f' {{result.{name}}}"'
            )
            after += assertion(condition, text)
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
            if param.name in declared or not is_mutable(param.type, self.lattice):
                continue
            given = names[param.name]
            snapshot = f"{given}_before"
            while snapshot in names.values():
                snapshot += "_"
            before.append(f"{snapshot} = deepcopy({given})")
            self.pieces.imports.add_needs(["deepcopy"])
            path = f"interfaces.{self.interface.name}.methods.{method.name}.params.{param.name}"
            text = f"{path}: the argument must not be changed, as no clause says old({param.name})"
            after += assertion(f"{given} == {snapshot}", quoted(text))
        return before, after

    def _call(self, method: Method, names: Mapping[str, str]) -> str:
        service = "service" if self._has_sequences else self._construct()
        return f"{service}.{method.name}({keywords(names)})"

    def _construct(self) -> str:
        fakes = {one.name: name for name, one in self.fakes.items()}
        return self.pieces.construct_with_fakes(self.interface, fakes)


def _reachable(kinds: Iterable[TypeRef], lattice: Lattice) -> list[str]:
    """Entities that values of these types need, in the order of the lattice."""
    pending = list(kinds)
    seen: set[str] = set()
    while pending:
        for name in entities_in(pending.pop()):
            if name not in seen:
                seen.add(name)
                pending += [one.type for one in lattice.entities[name].fields.values()]
    return [name for name in lattice.entities if name in seen]


def _always_raises(method: Method) -> bool:
    return any(one.clause.expression.source == "True" for one in method.raises)


def _holds(clause: Clause, values: Mapping[str, object]) -> bool:
    try:
        return bool(evaluate(clause.expression, values, old=None))
    except EvaluationError:
        return False


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
