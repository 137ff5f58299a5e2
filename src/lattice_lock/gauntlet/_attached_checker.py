"""Wrap a function so that every call checks its clauses, with as little in between as possible.

The wrapper is written as text with the function's own parameters, the way `dataclasses` writes
`__init__`: binding arguments by `inspect` at every call would cost several microseconds.
"""

from __future__ import annotations

import functools
import inspect
import reprlib
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from typing_extensions import override

from lattice_lock.gauntlet._attached_conditions import (
    RECORD,
    Clause,
    Compiled,
    compile_condition,
    condition_text,
    copied,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

__all__ = ["CHECKED", "ContractViolationError", "checked"]

CHECKED: Final = "__lattice_checked__"
"""Attribute of a wrapper that holds the function it wraps."""

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Item = TypeVar("_Item")
_LONGEST: Final = 200
_REPR: Final = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = _LONGEST


class ContractViolationError(AssertionError):
    """A function was called wrongly, or did not do what its contract says.

    Attributes:
        function: qualified name of the function.
        kind: `requires`, `ensures` or `raises`.
        condition: the broken condition as its author wrote it.
        values: what the condition spoke of, as text by name.
    """

    def __init__(
        self, *, function: str, kind: str, condition: str, values: Mapping[str, str], what: str
    ) -> None:
        shown = ", ".join(f"{name}={value}" for name, value in values.items())
        super().__init__(f"`{function}` {what}" + (f"; with {shown}" if shown else ""))
        self.function = function
        self.kind = kind
        self.condition = condition
        self.values = dict(values)

    @override
    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only constructors break the default protocol, which replays `args` alone.
        return _restore, (type(self), self.args, dict(vars(self)))


def _restore(
    cls: type[ContractViolationError], args: tuple[object, ...], state: Mapping[str, object]
) -> ContractViolationError:
    error = cls.__new__(cls, *args)
    error.args = args
    vars(error).update(state)
    return error


def checked(function: _Function) -> _Function:
    """A function that does the same and checks every clause recorded on it.

    Raises:
        TypeError: a clause does not fit the function.
    """
    clauses: tuple[Clause, ...] = getattr(function, RECORD, ())
    wrapper = _Writer(function, clauses).wrapper()
    functools.update_wrapper(wrapper, function)
    setattr(wrapper, CHECKED, function)
    return wrapper  # type: ignore[return-value]  # the same parameters, written out


class _Writer:
    """Writes the wrapper of one function."""

    def __init__(self, function: Callable[..., Any], clauses: Sequence[Clause]) -> None:
        self._function = function
        self._scope: dict[str, object] = {"_ll_call": function, "_ll_copied": copied}
        self._before: list[str] = []
        self._after: list[str] = []
        self._promised: list[tuple[str, Clause]] = []
        by_kind = {kind: [c for c in clauses if c.kind == kind] for kind in _WRITERS}
        for kind, write in _WRITERS.items():
            for number, clause in enumerate(by_kind[kind]):
                write(self, f"_ll_{kind}_{number}", clause)

    def wrapper(self) -> Callable[..., Any]:
        function = self._function
        parameters = tuple(inspect.signature(function).parameters.values())
        if inspect.isasyncgenfunction(function) and (self._after or self._promised):
            raise TypeError(
                f"`{function.__qualname__}` is an asynchronous generator, of which only "
                "`requires` can be checked. Remove the other clauses."
            )
        call = f"_ll_call({', '.join(map(_passed, parameters))})"
        if inspect.iscoroutinefunction(function):
            call = f"await {call}"
        lines = [*self._before, *self._calling(call)]
        head = "async def" if inspect.iscoroutinefunction(function) else "def"
        taken = ", ".join(self._declared(parameters))
        text = f"{head} wrapper({taken}):\n" + "".join(f"    {line}\n" for line in lines)
        code = compile(text, f"<contracts of {function.__qualname__}>", "exec")
        exec(code, self._scope)  # noqa: S102  # written above, from names alone
        return self._scope["wrapper"]  # type: ignore[return-value]  # what the text defines

    def _calling(self, call: str) -> list[str]:
        if not self._after and not self._promised:
            return [f"return {call}"]
        if inspect.isgeneratorfunction(self._function):
            # Its result is what it yields, known when it is exhausted.
            lines = ["def _ll_check(result):", *(f"    {line}" for line in self._after), "    pass"]
            self._scope["_ll_watched"] = _Watched
            return [*lines, f"return _ll_watched({call}, _ll_check)"]
        lines = [f"result = {call}"]
        if self._promised:
            self._scope["_ll_judge"] = functools.partial(_judge_raised, self._function)
            self._scope["_ll_silence"] = functools.partial(_judge_silence, self._function)
            self._scope["_ll_promised"] = tuple(clause for _, clause in self._promised)
            whens = "".join(f"{name}, " for name, _ in self._promised)
            lines = [
                "try:",
                f"    result = {call}",
                "except Exception as error:",
                f"    _ll_judge(error, _ll_promised, ({whens}))",
                "    raise",
                f"_ll_silence(_ll_promised, ({whens}))",
            ]
        return [*lines, *self._after, "return result"]

    def _declared(self, parameters: Sequence[inspect.Parameter]) -> list[str]:
        """The parameters as text; defaults and nothing else are taken from the scope."""
        texts: list[str] = []
        previous: inspect.Parameter | None = None
        for parameter in parameters:
            kind = parameter.kind
            if previous and previous.kind is parameter.POSITIONAL_ONLY is not kind:
                texts.append("/")
            if kind is parameter.KEYWORD_ONLY and (
                previous is None
                or previous.kind not in (parameter.VAR_POSITIONAL, parameter.KEYWORD_ONLY)
            ):
                texts.append("*")
            text = _STARS.get(kind, "") + parameter.name
            if parameter.default is not parameter.empty:
                self._scope[f"_ll_default_{parameter.name}"] = parameter.default
                text += f"=_ll_default_{parameter.name}"
            texts.append(text)
            previous = parameter
        if previous and previous.kind is previous.POSITIONAL_ONLY:
            texts.append("/")
        return texts

    def _condition(self, name: str, clause: Clause) -> tuple[Compiled, str]:
        """Make a condition callable from the text, and return the call."""
        assert clause.condition is not None  # noqa: S101  # only `raises` may lack one
        compiled = compile_condition(clause.condition, self._function)
        self._scope[name] = compiled.function
        arguments = [
            f"{name}{each}" if each in {one.name for one in compiled.captures} else each
            for each in compiled.names
        ]
        for capture in compiled.captures:
            self._scope[f"{name}_of_{capture.name}"] = capture.function
            call = f"{name}_of_{capture.name}({', '.join(capture.names)})"
            self._before.append(f"{name}{capture.name} = _ll_copied({call})")
        return compiled, f"{name}({', '.join(arguments)})"

    def _check(self, name: str, clause: Clause, what: str) -> list[str]:
        compiled, call = self._condition(name, clause)
        shown = [each for each in compiled.names if not each.startswith("_old_")]
        shown = [each for each in shown if each not in {one.name for one in compiled.captures}]
        self._scope[f"{name}_fail"] = functools.partial(
            _fail, self._function, clause.kind, compiled.text, what
        )
        values = ", ".join(f"{each}={each}" for each in shown)
        return [f"if not {call}:", f"    {name}_fail({values})"]

    def add_requires(self, name: str, clause: Clause) -> None:
        self._before += self._check(name, clause, "was called against its precondition")

    def add_ensures(self, name: str, clause: Clause) -> None:
        self._after += self._check(name, clause, "broke its postcondition")

    def add_raises(self, name: str, clause: Clause) -> None:
        if clause.condition is None:
            self._before.append(f"{name}_when = None")
        else:
            _, call = self._condition(name, clause)
            self._before.append(f"{name}_when = bool({call})")
        self._promised.append((f"{name}_when", clause))


_WRITERS: Final = {
    "requires": _Writer.add_requires,
    "raises": _Writer.add_raises,
    "ensures": _Writer.add_ensures,
}
_STARS: Final[dict[Any, str]] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


def _passed(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.KEYWORD_ONLY:
        return f"{parameter.name}={parameter.name}"
    return _STARS.get(parameter.kind, "") + parameter.name


def _fail(
    function: Callable[..., object],
    kind: str,
    condition: str,
    what: str,
    /,
    **values: object,
) -> None:
    raise ContractViolationError(
        function=function.__qualname__,
        kind=kind,
        condition=condition,
        values={name: _shown(value) for name, value in values.items()},
        what=f"{what} `{condition}`",
    )


def _shown(value: object) -> str:
    text = _REPR.repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _condition_of(clause: Clause) -> str:
    return "" if clause.condition is None else condition_text(clause.condition)


def _judge_raised(
    function: Callable[..., object],
    error: Exception,
    clauses: Sequence[Clause],
    whens: Sequence[bool | None],
) -> None:
    """Accept an exception that no clause speaks of, or that one of them allows now."""
    about = [
        (clause, when)
        for clause, when in zip(clauses, whens, strict=True)
        if clause.exception is not None and isinstance(error, clause.exception)
    ]
    if about and not any(when is None or when for _, when in about):
        condition = _condition_of(about[0][0])
        raise ContractViolationError(
            function=function.__qualname__,
            kind="raises",
            condition=condition,
            values={},
            what=f"raised `{type(error).__name__}`, though not `{condition}`",
        ) from error


def _judge_silence(
    function: Callable[..., object], clauses: Sequence[Clause], whens: Sequence[bool | None]
) -> None:
    for clause, when in zip(clauses, whens, strict=True):
        if when:
            condition = _condition_of(clause)
            raise ContractViolationError(
                function=function.__qualname__,
                kind="raises",
                condition=condition,
                values={},
                what=f"did not raise `{_name_of(clause.exception)}`, though `{condition}`",
            )


def _name_of(exception: type[BaseException] | tuple[type[BaseException], ...] | None) -> str:
    kinds = exception if isinstance(exception, tuple) else (exception,)
    return " or ".join(kind.__name__ for kind in kinds if kind is not None)


class _Watched(Generator[Any, Any, Any]):
    """A generator that remembers what it yields and checks it at its end."""

    def __init__(
        self, generator: Generator[Any, Any, Any], check: Callable[[list[Any]], None]
    ) -> None:
        self._generator = generator
        self._check = check
        self._yielded: list[Any] = []

    @override
    def send(self, value: Any) -> Any:
        return self._kept(lambda: self._generator.send(value))

    @override
    def throw(
        self,
        typ: Any,
        val: object = None,
        tb: TracebackType | None = None,
    ) -> Any:
        return self._kept(lambda: self._generator.throw(typ))

    def _kept(self, advance: Callable[[], _Item]) -> _Item:
        try:
            item = advance()
        except StopIteration:
            self._check(self._yielded)
            raise
        self._yielded.append(item)
        return item
