"""Stand-ins for what an interface depends on, written from the contracts of the dependencies.

A fake checks what it is called with against types, constraints and preconditions, raises declared
errors where their conditions hold, and otherwise answers with a value for which every
post-condition holds. Answers are drawn by Hypothesis; where a drawn one does not fit, the parts
that conditions compare are set to what they are compared with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lattice_lock.core import python_types
from lattice_lock.core._aiming import places_compared
from lattice_lock.core._pools import Pools
from lattice_lock.core._python_text import render
from lattice_lock.core._witness_search import mine
from lattice_lock.core.emitters._contract_pieces import indented, is_mutable
from lattice_lock.core.emitters._repository_meaning import key_fields, repository_meaning
from lattice_lock.core.emitters.interfaces import dependency_parameter
from lattice_lock.core.emitters.python_text import literal, quoted
from lattice_lock.core.emitters.strategies import narrow
from lattice_lock.core.expressions import old_variables, to_python
from lattice_lock.core.type_refs import EntityType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lattice_lock.core.emitters._contract_pieces import Pieces
    from lattice_lock.core.emitters.strategies import Strategies
    from lattice_lock.core.schema import Constraints, Interface, Lattice, Method

__all__ = ["FAKE", "FAKE_IMPORTS", "can_stand_in", "fake_class", "fake_strategy", "write_fake"]

_DRAWN: Final = 3
_USUAL: Final = 6
_LONGEST: Final = 500
_DEEPEST_AIM: Final = 2

FAKE_IMPORTS: Final = (
    ("collections.abc", "Callable"),
    ("collections.abc", "Iterator"),
    ("hypothesis", "reject"),
    ("pydantic", "BaseModel"),
    ("typing", "NoReturn"),
)

FAKE: Final = '''
class Fake:
    """A dependency that answers what its contract allows, and holds its caller to it.

    Equal calls have equal answers, until a method that may change something is called. An entity
    that it was given, or gave, comes back wherever it fits.
    """

    __interface__ = ""
    __errors__: tuple[type[Exception], ...] = ()
    _most_calls = 500

    def __init__(self, turn: int = 0, /, **answers: list[Any]) -> None:
        self._turn = turn  # which of the usual answers comes first
        self._answers = answers
        self._known: dict[str, Any] = {}
        self._entities: list[BaseModel] = []
        self._calls = 0
        self.__misuse__ = ""

    def __repr__(self) -> str:
        answers = [f"{name}={some!r}" for name, some in self._answers.items()]
        turn = [str(self._turn)] if self._turn else []
        return f"{type(self).__name__}({', '.join([*turn, *answers])})"

    def _refuse(self, method: str, given: dict[str, Any], path: str, reason: str) -> NoReturn:
        shown = ", ".join(f"{name}={value!r}" for name, value in given.items())
        call = f"{path}: calls {self.__interface__}.{method}({shown}), which its contract forbids"
        self.__misuse__ = self.__misuse__ or f"{call}: {reason}"
        raise AssertionError(self.__misuse__)

    def _check(
        self, method: str, given: dict[str, Any], declared: dict[str, TypeAdapter[Any]]
    ) -> None:
        self._calls += 1
        if self._calls > self._most_calls:
            reject()  # what the caller waits for may never come from these answers
        for name, adapter in declared.items():
            problem = mismatch(given[name], adapter)
            if problem:
                path = f"interfaces.{self.__interface__}.methods.{method}.params.{name}"
                self._refuse(method, given, path, problem)

    def _change(self, *values: object) -> None:
        self._known.clear()
        self._entities += [one for one in values if isinstance(one, BaseModel)]

    def _answer(
        self,
        method: str,
        given: dict[str, Any],
        declared: TypeAdapter[Any],
        usual: list[Any],
        aims: list[tuple[str, Callable[[], Any]]],
        fits: Callable[[Any], bool],
    ) -> Any:
        call = f"{method}{given!r}"
        if call not in self._known:
            drawn = self._answers.get(method, [])
            turn = len(self._known) % max(len(drawn), 1)
            first = self._turn % max(len(usual), 1)
            bases = [*reversed(self._entities), *drawn[turn:], *drawn[:turn]]
            bases += [*usual[first:], *usual[:first]]
            bases += [part for one in given.values() for part in parts_of(one)]
            for candidate in (one for base in bases for one in aimed(base, aims, declared)):
                if not mismatch(candidate, declared) and holds(fits, candidate):
                    self._known[call] = candidate
                    break
            else:
                reject()  # no answer was found that the contract allows
        answer = self._known[call]
        self._entities += [one for one in parts_of(answer) if isinstance(one, BaseModel)]
        return answer


def parts_of(value: Any) -> list[Any]:
    """A value, and the items of a list."""
    return [value, *value] if isinstance(value, list) else [value]


def holds(condition: Callable[[Any], bool], value: Any) -> bool:
    """Whether a condition has a value, and is true."""
    try:
        return condition(value)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False


def aimed(
    base: Any, aims: list[tuple[str, Callable[[], Any]]], declared: TypeAdapter[Any]
) -> Iterator[Any]:
    """A value, and what it becomes with its parts as conditions want them."""
    yield base
    wanted: list[tuple[str, Any]] = []
    for field, compute in aims:
        try:
            wanted.append((field, compute()))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            continue
    parts = {field: value for field, value in wanted if field}
    changes = [parts, *({field: value} for field, value in wanted if field)]
    tries: list[Any] = [value for field, value in wanted if not field]
    tries += [one + step for one in tries if type(one) in (int, Decimal) for step in (1, -1)]
    if isinstance(base, BaseModel):
        tries += [{**vars(base), **change} for change in changes if change]
    for one in tries:
        try:
            yield declared.validate_python(one)
        except ValidationError:
            continue
'''


def can_stand_in(lattice: Lattice, interface: Interface) -> bool:
    """Whether a fake can keep the contract of an interface.

    It cannot where a post-condition says how an argument is changed in place.
    """
    return not any(
        is_mutable(param.type, lattice)
        for method in interface.methods.values()
        for clause in method.ensures
        for name in old_variables(clause.expression)
        for param in [method.params[name]]
    )


def fake_class(interface: Interface) -> str:
    """Name of the class that stands in for an interface."""
    return f"Fake{interface.class_name}"


def fake_strategy(interface: Interface) -> str:
    """Name of the function that returns a strategy of such fakes."""
    return f"fake_{dependency_parameter(interface)}"


def write_fake(interface: Interface, pieces: Pieces, strategies: Strategies) -> tuple[str, str]:
    """The class that stands in for an interface, and the function that draws its answers."""
    pieces.imports.add(FAKE_IMPORTS)
    pieces.imports.add([("decimal", "Decimal"), ("typing", "Any")])
    name = fake_class(interface)
    text = f'class {name}(Fake):\n    """Stands in for `{interface.name}`."""\n\n'
    text += f'    __interface__ = "{interface.name}"\n'
    errors = sorted({one.exception for m in interface.methods.values() for one in m.raises})
    if errors:
        text += f"    __errors__ = ({''.join(f'{one}, ' for one in errors).rstrip()})\n"
    drawn: dict[str, str] = {}
    for method in interface.methods.values():
        text += f"\n{_Method(interface, method, pieces).render()}"
        returns = method.returns.type
        if returns is not None:
            one = strategies.strategy(returns, _result_limits(method))
            drawn[method.name] = f"st.lists({one}, min_size=1, max_size={_DRAWN})"
    inner = "".join(f"        {key}={value},\n" for key, value in drawn.items())
    function = f"def {fake_strategy(interface)}() -> st.SearchStrategy[{name}]:\n"
    function += f'    """Stand-ins for `{interface.name}` with different answers."""\n'
    function += f"    return st.builds(\n        {name},\n{inner}    )\n"
    return text, function


def _result_limits(method: Method) -> Constraints:
    """Constraints of a result, tightened by what post-conditions say of it alone."""
    limits = {"result": method.returns.constraints}
    for clause in method.ensures:
        limits, _ = narrow(clause, limits)
    return limits["result"]


class _Method:
    """One method of a fake."""

    def __init__(self, interface: Interface, method: Method, pieces: Pieces) -> None:
        self._interface = interface
        self._method = method
        self._pieces = pieces
        self._names = pieces.names(method)
        self._captures: dict[str, str] = {}

    def render(self) -> str:
        """The method, which has its parameters under their own names."""
        method = self._method
        returns = python_types.annotation(method.returns.type)
        if method.returns.type is not None:
            self._pieces.import_type(method.returns.type)
        taken = self._pieces.parameters(method)
        body = indented(self._body(), 2)
        renamed = [name for name, own in self._names.items() if name != own]
        if not renamed:
            params = f"self, {taken}" if taken else "self"
            return f"    def {method.name}({params}) -> {returns}:\n{body}"
        # Within its own function, a parameter called `date` would hide the class.
        given = ", ".join(
            f"{one.name}: {python_types.annotation(one.type)}" for one in method.params.values()
        )
        shim = f"    def {method.name}(self, {given}) -> {returns}:\n"
        shim += f"        return self._{method.name}({', '.join(method.params)})\n"
        return f"{shim}\n    def _{method.name}(self, {taken}) -> {returns}:\n{body}"

    def _body(self) -> list[str]:
        method, name = self._method, quoted(self._method.name)
        given = ", ".join(f"{quoted(one)}: {own}" for one, own in self._names.items())
        prefix = f"{dependency_parameter(self._interface)}_{method.name}".upper()
        adapters = {
            quoted(one.name): self._pieces.adapter(
                f"{prefix}_TAKES_{one.name.upper()}", one.type, one.constraints
            )
            for one in method.params.values()
        }
        checked = ", ".join(f"{one}: {adapter}" for one, adapter in adapters.items())
        lines = [f"_given = {{{given}}}", f"self._check({name}, _given, {{{checked}}})"]
        for clause in method.requires:
            reason = f"{quoted(clause.path)}, {quoted(clause.expression.source)}"
            lines.append(f"if not ({self._pieces.python(clause, self._names)}):")
            lines.append(f"    self._refuse({name}, _given, {reason})")
        for one in method.raises:
            lines.append(f"if {self._pieces.python(one.clause, self._names)}:")
            lines.append(f"    raise {one.exception}({quoted(one.clause.expression.source)})")
        if method.returns.type is None:
            return [*lines, f"self._change({', '.join(self._names.values())})"]
        return [*lines, *self._answer(prefix)]

    def _answer(self, prefix: str) -> list[str]:
        method, returns = self._method, self._method.returns
        assert returns.type is not None  # noqa: S101  # the caller looked
        adapter = self._pieces.adapter(f"{prefix}_ANSWERS", returns.type, returns.constraints)
        fits = list(self._conditions())
        aims = [f"({quoted(place)}, lambda: {text})" for place, text in self._aims()]
        lines = [f"{own} = {text}" for own, text in self._captures.items()]
        lines += ["", "def _fits(result: Any) -> bool:"]
        lines.append(f"    return bool({' and '.join(fits)})" if fits else "    return True")
        lines.append("")
        call = [quoted(method.name), "_given", adapter, f"[{', '.join(self._usual())}]"]
        call += [f"[{', '.join(aims)}]", "_fits"]
        if any(isinstance(one.type, EntityType) for one in method.params.values()):
            lines.append(f"self._change({', '.join(self._names.values())})")
        return [*lines, "return self._answer(", *(f"    {one}," for one in call), ")"]

    def _conditions(self) -> Iterator[str]:
        for clause in self._method.ensures:
            names = {**self._names, "result": "result"}
            condition = to_python(clause.expression, names=names)
            self._pieces.imports.add_needs(condition.needs)
            self._captures.update(condition.captures)
            yield f"({condition.text})"
        for field, own in self._key():
            yield f"(result is None or result.{field} == {own})"

    def _aims(self) -> Iterator[tuple[str, str]]:
        """Places of the result that conditions compare, and the Python text of the other side."""
        for clause in self._method.ensures:
            for target in places_compared(clause.expression.tree):
                if target.path[0] == "result" and len(target.path) <= _DEEPEST_AIM:
                    other = render(target.other, self._names)
                    self._pieces.imports.add_needs(other.needs)
                    self._captures.update(other.captures)
                    yield ".".join(target.path[1:]), other.text
        yield from self._key()

    def _key(self) -> Iterable[tuple[str, str]]:
        """The fields by which a repository finds what it answers, with the names they come by."""
        meaning = repository_meaning(self._pieces.lattice, self._interface, self._method)
        if meaning is None or meaning.verb != "get":
            return ()
        return zip(key_fields(meaning.entity), self._names.values(), strict=True)

    def _usual(self) -> Iterator[str]:
        """Values that stand in for drawn ones, those with the least to read."""
        method, lattice = self._method, self._pieces.lattice
        kind = method.returns.type
        if kind is None:
            return
        pools = Pools(lattice, mine(lattice, method))
        found = pools.values(kind, _result_limits(method))
        texts = (literal(one, kind, lattice.entities) for one in found)
        count = 0
        for text in texts:
            if len(text) <= _LONGEST and count < _USUAL:
                count += 1
                yield text
