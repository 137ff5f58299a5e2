"""Tests that call the methods of one object in any order, as Hypothesis state machines.

Every call is checked like a call of its own: post-conditions, declared errors, invariants. What
earlier calls took and gave is used again. Where a repository's methods mean something by name and
signature, what was stored is compared as well, until a method is called that may change it in a
way that nobody declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lattice_lock.core.emitters._contract_pieces import assertion, indented
from lattice_lock.core.emitters._repository_meaning import (
    is_adding,
    key_fields,
    repository_meaning,
)
from lattice_lock.core.emitters.python_text import literal, quoted, snake_case
from lattice_lock.core.schema import Constraints
from lattice_lock.core.type_refs import (
    BOOL,
    JSON,
    EntityType,
    EnumType,
    OptionalType,
    entities_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lattice_lock.core.emitters._contract_pieces import Pieces
    from lattice_lock.core.emitters._repository_meaning import Meaning
    from lattice_lock.core.emitters.strategies import Strategies
    from lattice_lock.core.schema import Entity, Interface, Method, Param
    from lattice_lock.core.type_refs import TypeRef

__all__ = [
    "HELPERS",
    "HELPER_IMPORTS",
    "SEQUENCE_SETTINGS",
    "SEQUENCE_TEST",
    "keeping_name",
    "raising_name",
    "write_machine",
]

SEQUENCE_TEST: Final = "test_calls_in_any_order"

SEQUENCE_SETTINGS: Final = """
sequences = settings(contract, max_examples=40, stateful_step_count=10)
"""

HELPER_IMPORTS: Final = (
    ("collections.abc", "Callable"),
    ("collections.abc", "Iterator"),
    ("copy", "deepcopy"),
    ("enum", "Enum"),
    ("hypothesis", "HealthCheck"),
    ("hypothesis", "settings"),
    ("hypothesis.stateful", "RuleBasedStateMachine"),
    ("hypothesis.stateful", "initialize"),
    ("hypothesis.stateful", "rule"),
    ("hypothesis.stateful", "run_state_machine_as_test"),
    ("pydantic", "BaseModel"),
    ("typing", "Any"),
)

# A Bundle holds what rules return, not what they take, and an empty one ends the example.
HELPERS: Final = '''
def calling(
    **drawn: st.SearchStrategy[Any],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A rule that calls a method.

    All have one name, since Hypothesis leaves rules out by name in most runs, and sequences as
    short as these need every method.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        function.__name__ = "call"
        return rule(**drawn)(function)

    return decorate


def met(*values: object) -> Iterator[object]:
    """The values of a call that a later one may take: entities, their keys, items of lists."""
    for value in values:
        if isinstance(value, BaseModel):
            yield value
            yield from met(*vars(value).values())
        elif isinstance(value, list):
            yield from met(*value)
        elif value is not None and not isinstance(value, (bool, float, Enum, dict)):
            yield value


def seen_or(
    new: st.SearchStrategy[Any], declared: TypeAdapter[Any]
) -> st.SearchStrategy[Any]:
    """A value that an earlier call took or gave, where one fits, or a new one."""

    def choose(machine: Any) -> st.SearchStrategy[Any]:
        fitting = [one for one in reversed(machine.seen) if not mismatch(one, declared)]
        return new | st.sampled_from(fitting) if fitting else new

    return st.runner().flatmap(choose)


def one_seen(kind: type[BaseModel]) -> st.SearchStrategy[Any]:
    """An entity of an earlier call, or None."""

    def choose(machine: Any) -> st.SearchStrategy[Any]:
        known = [one for one in reversed(machine.seen) if isinstance(one, kind)]
        return st.none() | st.sampled_from(known) if known else st.none()

    return st.runner().flatmap(choose)
'''

_SPARE: Final = 3
_LONGEST: Final = 500


class _Machine:
    """Writes the machine of one interface.

    Args:
        construct: text of the object under test, with the fakes under the names they have.
        fakes: class and strategy of each fake, by the name of its argument.
        inputs: inputs that fulfil the preconditions, by method.
    """

    def __init__(
        self,
        interface: Interface,
        pieces: Pieces,
        strategies: Strategies,
        *,
        construct: str,
        fakes: Mapping[str, tuple[str, str]],
        inputs: Mapping[str, Sequence[Mapping[str, object]]],
    ) -> None:
        self._interface = interface
        self._pieces = pieces
        self._strategies = strategies
        self._construct = construct
        self._fakes = fakes
        self._inputs = inputs
        self._meanings = {
            name: repository_meaning(pieces.lattice, interface, method)
            for name, method in interface.methods.items()
        }
        kinds = [
            kind
            for method in interface.methods.values()
            for kind in (method.returns.type, *(param.type for param in method.params.values()))
        ]
        self._entities = dict.fromkeys(name for kind in kinds for name in entities_in(kind))
        self.constants: list[str] = []

    def render(self, returning: Callable[[Method], bool]) -> str:
        """The class."""
        name = f"{self._interface.class_name}Calls"
        text = f"class {name}(RuleBasedStateMachine):\n"
        text += f'    """Calls of one `{self._interface.class_name}` in any order."""\n\n'
        text += indented(["def __init__(self) -> None:"], 1)
        text += indented(["super().__init__()", "self.seen: list[object] = []"], 2)
        stored = {one.entity.name: one.entity for one in self._meanings.values() if one}
        if self._unique_fields_anywhere():
            text += indented(["self.taken: set[tuple[str, object]] = set()"], 2)
        if stored:
            text += indented(["self.is_known = True"], 2)
        for entity in stored.values():
            text += indented([f"self.{_stored(entity)}: dict[object, {entity.name}] = {{}}"], 2)
        if not self._fakes:
            text += indented([f"self.service = {self._construct}"], 2)
        else:
            drawn = ", ".join(f"{one}={draw}" for one, (_, draw) in self._fakes.items())
            taken = ", ".join(f"{one}: {cls}" for one, (cls, _) in self._fakes.items())
            text += f"\n    @initialize({drawn})\n    def begin(self, {taken}) -> None:\n"
            text += indented([f"self.service = {self._construct}"], 2)
        for method in self._interface.methods.values():
            text += f"\n{self._rule(method, returns=returning(method))}"
        return text

    def _rule(self, method: Method, *, returns: bool) -> str:
        names = self._pieces.names(method)
        limits = self._pieces.limits(method)
        drawn = {
            names[param.name]: self._drawn(method, param, limits[param.name])
            for param in method.params.values()
        }
        taken = self._pieces.parameters(method)
        body: list[str] = []
        found = self._found_by(method)
        if found is not None:
            entity, fields = found
            drawn["like"] = f"one_seen({entity.name})"
            taken += f", like: {entity.name} | None"
            body.append("if like is not None:")
            body.append(
                f"    {', '.join(names[one] for one in fields)} = "
                f"{', '.join(f'like.{one}' for one in fields.values())}"
            )
        elif (changed := self._changes(method)) is not None:
            entity, own, adapter = changed
            drawn["like"] = f"one_seen({entity.name})"
            taken += f", like: {entity.name} | None"
            key = ", ".join(f'"{one}": like.{one}' for one in key_fields(entity))
            body.append("if like is not None:")
            body.append(f"    same = {own}.model_copy(update={{{key}}})")
            body.append(f"    {own} = {own} if mismatch(same, {adapter}) else same")
        conditions = self._pieces.preconditions(method)
        if conditions:
            holding = " and ".join(
                conditions if len(conditions) == 1 else map(_bracketed, conditions)
            )
            body.append(f"if not ({holding}):")
            spare = self._spare(method)
            if spare is None:
                body.append("    return")
            else:
                drawn["spare"] = f"st.sampled_from({spare})"
                taken += ", spare: tuple[Any, ...]"
                given = ", ".join(names.values())
                given = given if len(names) > 1 else f"({given},)"
                body.append(f"    {given} = deepcopy(spare)")
        body += self._once(method)
        body += self._call(method, names, returns=returns)
        inner = "".join(f"        {name}={text},\n" for name, text in drawn.items())
        head = f"    @calling(\n{inner}    )\n" if drawn else "    @calling()\n"
        params = f"self, {taken}" if taken else "self"
        return f"{head}    def call_{method.name}({params}) -> None:\n{indented(body, 2)}"

    def _drawn(self, method: Method, param: Param, limits: Constraints) -> str:
        new = self._strategies.strategy(param.type, limits)
        is_added = isinstance(param.type, EntityType) and self._unique_fields(method)
        if is_added or not _is_reused(param.type):
            return new
        adapter = self._adapter(method, param, limits)
        return f"seen_or({new}, {adapter})"

    def _found_by(self, method: Method) -> tuple[Entity, dict[str, str]] | None:
        """The entity that parameters name the key of, with the fields that they name."""
        limits = self._pieces.limits(method)
        for name in self._entities:
            entity = self._pieces.lattice.entities[name]
            fields = {
                param.name: one.name
                for param in method.params.values()
                for one in entity.fields.values()
                if param.name in {one.name, f"{snake_case(name)}_{one.name}"}
                and param.type == one.type
                and limits[param.name] in (one.constraints, Constraints())
            }
            key = set(key_fields(entity))
            if key and key.issubset(fields.values()):
                return entity, fields
        return None

    def _changes(self, method: Method) -> tuple[Entity, str, str] | None:
        """The entity of which a method takes another state, its parameter, and its adapter."""
        given = [one for one in method.params.values() if isinstance(one.type, EntityType)]
        if len(given) != 1 or is_adding(method):
            return None
        (param,) = given
        (name,) = entities_in(param.type)
        entity = self._pieces.lattice.entities[name]
        if not key_fields(entity):
            return None
        adapter = self._adapter(method, param, param.constraints)
        return entity, self._pieces.names(method)[param.name], adapter

    def _adapter(self, method: Method, param: Param, limits: Constraints) -> str:
        return self._pieces.adapter(f"{method.name}_takes_{param.name}".upper(), param.type, limits)

    def _spare(self, method: Method) -> str | None:
        """Name of a list of arguments that fulfil the preconditions, None where none is known."""
        entities = self._pieces.lattice.entities
        texts = (
            "".join(
                f"{literal(one[name], param.type, entities)}, "
                for name, param in method.params.items()
            ).rstrip()
            for one in self._inputs[method.name]
        )
        short = [text for text in texts if len(text) <= _LONGEST][:_SPARE]
        if not short:
            return None
        name = f"{method.name}_inputs".upper()
        rows = "".join(f"    ({text}),\n" for text in short)
        self.constants.append(f"{name}: list[tuple[Any, ...]] = [\n{rows}]\n")
        return name

    def _call(self, method: Method, names: Mapping[str, str], *, returns: bool) -> list[str]:
        given = "".join(f", {one}" for one in names.values())
        meaning = self._meanings[method.name]
        lines: list[str] = []
        word = "if"
        for number, one in enumerate(method.raises):
            lines.append(f"{word} {self._pieces.python(one.clause, names)}:")
            helper = raising_name(method, number)
            lines.append(f"    {helper}(self.service{given})")
            word = "elif"
        kept: list[str] = []
        if returns:
            has_result = method.returns.type is not None
            call = f"{keeping_name(method)}(self.service{given})"
            kept.append(f"result = {call}" if has_result else call)
            if meaning is not None:
                kept += list(self._compared(method, meaning, names))
            remembered = ", ".join([*names.values(), *(["result"] if has_result else [])])
            if remembered:
                kept.append(f"self.seen += met({remembered})")
        if self._is_repository() and meaning is None:
            kept.append("self.is_known = False  # who knows what it changed")
        if not method.raises:
            return kept
        if kept:
            lines += ["else:", *(f"    {one}" for one in kept)]
        return lines

    # What is stored ------------------------------------------------------------------------------

    def _is_repository(self) -> bool:
        return any(one is not None for one in self._meanings.values())

    def _unique_fields_anywhere(self) -> bool:
        return any(self._unique_fields(one) for one in self._interface.methods.values())

    def _unique_fields(self, method: Method) -> list[str]:
        """Texts of what may be there once: the keys of what is added, fields that are unique."""
        names = self._pieces.names(method)
        found = []
        for param in method.params.values():
            if not isinstance(param.type, EntityType):
                continue
            entity = self._pieces.lattice.entities[param.type.name]
            own = names[param.name]
            key = key_fields(entity)
            if key and is_adding(method):
                values = "".join(f"{own}.{one}, " for one in key).rstrip()
                found.append(f"({quoted(entity.name)}, ({values}))")
            if entity.persistence == "table":
                unique = [one.name for one in entity.fields.values() if one.unique]
                found += [f"({quoted(f'{entity.name}.{one}')}, {own}.{one})" for one in unique]
        return found

    def _once(self, method: Method) -> list[str]:
        found = self._unique_fields(method)
        if not found:
            return []
        return [
            f"identity: set[tuple[str, object]] = {{{', '.join(found)}}}",
            "if identity & self.taken:",
            "    return  # no contract says what becomes of a second one",
            "self.taken |= identity",
        ]

    def _compared(
        self, method: Method, meaning: Meaning, names: Mapping[str, str]
    ) -> Iterator[str]:
        """What a method of a repository does to the values that are stored, and must answer."""
        entity, store = meaning.entity, f"self.{_stored(meaning.entity)}"
        given = list(names.values())
        path = f"interfaces.{self._interface.name}.methods.{method.name}"
        parts = given
        if meaning.verb in {"add", "update"}:
            parts = [f"{given[0]}.{one}" for one in key_fields(entity)]
        key = f"({', '.join(parts)},)"
        answers = method.returns.type is not None
        shown = 'got {result!r}"'
        if meaning.verb == "add":
            yield f"{store}[{key}] = {given[0]}"
            return
        if meaning.verb == "list":
            own = "".join(f"one.{name}, " for name in key_fields(entity)).rstrip()
            yield f"listed = {{({own}): one for one in result}}"
            text = f'f"{path}: expected {{list({store}.values())!r}}, in any order, {shown}'
            same = f"len(result) == len({store}) and listed == {store}"
            yield from assertion(f"not self.is_known or ({same})", text)
            return
        if meaning.verb == "get":
            yield f"stored = {store}.get({key})"
            text = f'f"{path}: expected {{stored!r}}, which is stored, {shown}'
            yield from assertion("not self.is_known or result == stored", text)
            return
        yield f"is_stored = {key} in {store}"
        if answers:
            is_bool = method.returns.type == BOOL
            wanted = "is_stored" if is_bool else f"{given[0]} if is_stored else None"
            text = f'f"{path}: expected {{{wanted}!r}}, {shown}'
            yield from assertion(f"not self.is_known or result == ({wanted})", text)
        if meaning.verb == "update":
            yield "if is_stored:"
            yield f"    {store}[{key}] = {given[0]}"
        else:
            yield f"{store}.pop({key}, None)"


def keeping_name(method: Method) -> str:
    """Name of the function that calls a method and checks its contract."""
    return f"{method.name}_keeps_its_contract"


def raising_name(method: Method, number: int) -> str:
    """Name of the function that calls a method and expects its declared error of that number."""
    exception = method.raises[number].exception
    earlier = sum(one.exception == exception for one in method.raises[:number])
    return f"{method.name}_raises_{snake_case(exception)}{f'_{earlier + 1}' if earlier else ''}"


def _bracketed(condition: str) -> str:
    return f"({condition})"


def _is_reused(kind: TypeRef) -> bool:
    inner = kind.inner if isinstance(kind, OptionalType) else kind
    return not isinstance(inner, EnumType) and inner not in (BOOL, JSON)


def _stored(entity: Entity) -> str:
    return f"stored_{snake_case(entity.name)}"


def write_machine(
    interface: Interface,
    pieces: Pieces,
    strategies: Strategies,
    *,
    construct: str,
    fakes: Mapping[str, tuple[str, str]],
    inputs: Mapping[str, Sequence[Mapping[str, object]]],
    returning: Callable[[Method], bool],
) -> tuple[list[str], str]:
    """Constants for the head of the file, and the machine with the test that runs it.

    Args:
        construct: text of the object under test; a fake has the name of its argument in it.
        fakes: class and strategy of each fake, by the name of its argument.
        inputs: inputs that fulfil the preconditions, by method.
        returning: whether a method ever returns.
    """
    machine = _Machine(
        interface, pieces, strategies, construct=construct, fakes=fakes, inputs=inputs
    )
    pieces.imports.add(HELPER_IMPORTS)
    pieces.imports.add_module("hypothesis.strategies as st")
    text = machine.render(returning)
    test = f"def {SEQUENCE_TEST}() -> None:\n"
    test += f"    run_state_machine_as_test({interface.class_name}Calls, settings=sequences)\n"
    return machine.constants, f"{text}\n\n{test}"
