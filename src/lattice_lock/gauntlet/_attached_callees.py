"""Functions and methods of a module, with inputs made for them and judged calls."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import typing
from typing import TYPE_CHECKING, Any, Final

from lattice_lock.gauntlet._attached_collections import Collections, Mappings
from lattice_lock.gauntlet._attached_conjuncts import Fences
from lattice_lock.gauntlet._attached_contracts import (
    Broken,
    Contract,
    Promise,
    TooLargeError,
    UntestableError,
    captured,
    collect,
    documented,
    evaluated,
    judge,
    shown,
    told,
    violated,
)
from lattice_lock.gauntlet._attached_guesses import guessed_values
from lattice_lock.gauntlet._attached_inputs import OMITTED, Plan, UnfitError, Value, build
from lattice_lock.gauntlet._attached_texts import Texts
from lattice_lock.gauntlet._attached_values import (
    Booleans,
    Choices,
    Context,
    Floats,
    Integers,
    Values,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lattice_lock.gauntlet._attached_fences import Fence

__all__ = ["Callee", "type_hints"]

_RETRIES: Final = 12
_MOST_YIELDED: Final = 5000
_MANY: Final = 4
_BARE: Final = (object, list, tuple, set, frozenset, dict)


class Callee:
    """Something that can be called with inputs made for it, and whose contract can be checked.

    Attributes:
        name: as reports show it.
        contract: its clauses.
        is_loose: whether types of parameters are unknown, so that a wrong type is nobody's fault.
    """

    def __init__(
        self,
        values_of: Callable[[Value], Values],
        name: str,
        invoke: Callable[..., Any],
        *,
        functions: Sequence[Callable[..., Any]],
        bound: tuple[str, ...] = (),
        fixed: Mapping[str, object] | None = None,
        signature: inspect.Signature | None = None,
        gives: str = "",
        hints: Mapping[str, Value] | None = None,
    ) -> None:
        """Describe.

        Args:
            values_of: values of a type.
            name: as reports show it.
            invoke: what is called.
            functions: those whose clauses hold, the overriding ones first.
            bound: first parameters that are given by whoever calls: `self`.
            fixed: further names of conditions.
            signature: when it is not that of `invoke`.
            gives: further name under which conditions know the result.
            hints: types of the parameters, None for those of the function.
        """
        self.name = name
        self._invoke = invoke
        self._bound = bound
        self._fixed = dict(fixed or {})
        self._gives = gives
        own = inspect.unwrap(functions[0]) if functions else invoke
        self._scope: dict[str, Any] = getattr(own, "__globals__", {})
        parameters = (signature or inspect.signature(invoke)).parameters
        self._parameters = {n: p for n, p in parameters.items() if n not in bound}
        self._defaults = {
            n: p.default for n, p in self._parameters.items() if p.default is not p.empty
        }
        names = (*bound, *self._parameters, *self._fixed, *([gives] if gives else []))
        self.contract = Contract()
        for function in functions:
            collect(function, names, self.contract)
        self._allowed = tuple(
            kind for function in functions for kind in documented(function, self._scope)
        )
        trees = [tree for tree, _ in self.contract.conditions]
        if len(self.contract.groups) <= 1:
            self._fences = Fences(self.contract.conditions, self._parameters)
        else:  # alternatives: no single bound has to hold
            self._fences = Fences((), self._parameters)
        hints = type_hints(own, self._scope) if hints is None else hints
        self.is_loose = any(_says_little(hints.get(n, Any)) for n in self._parameters)
        body = _tree_of(own)
        self._values: dict[str, Values] = {}
        for parameter_name, parameter in self._parameters.items():
            hint = hints.get(parameter_name, Any)
            inferred = [*trees, *([body] if body else [])]
            self._values[parameter_name] = _source(parameter, hint, inferred, values_of)
        self._order = sorted(
            self._parameters,
            key=lambda n: (isinstance(self._values[n], Integers | Floats | Texts | Booleans),),
        )

    # What it is called with.

    def draw(
        self,
        context: Context,
        given: Mapping[str, object] | None = None,
        outer: Fence | None = None,
    ) -> dict[str, Plan]:
        """Random arguments that meet the preconditions.

        Args:
            context: what drawing depends on.
            given: values of bound parameters.
            outer: what else is known of the only parameter.

        Raises:
            UnfitError: none were found.
        """
        for _ in range(_RETRIES):
            values = {**(given or {}), **self._fixed}
            plans: dict[str, Plan] = {}
            saved = context.relatives
            context.relatives = {kind: list(found) for kind, found in saved.items()}
            try:
                for name in self._shuffled(context):
                    if name in self._defaults and context.chance(0.25):
                        plans[name], values[name] = OMITTED, self._defaults[name]
                        continue
                    plans[name] = self._drawn(name, context, values, outer)
                    values[name] = build(plans[name])
                    _relate(context, values[name])
            except UnfitError:
                continue
            finally:
                context.relatives = saved
            if self._meets(values):
                return {name: plans[name] for name in self._parameters}
        raise UnfitError("no arguments meet the preconditions")

    def _drawn(
        self, name: str, context: Context, values: Mapping[str, object], outer: Fence | None
    ) -> Plan:
        """A value of one parameter; in two steps where its parts depend on each other."""
        source = self._values[name]
        plan = source.draw(context, self._fences.of(name, values, outer))
        if not self._fences.depends_on_itself(name):
            return plan
        draft = build(plan)
        fence = self._fences.of(name, {**values, name: draft}, outer)
        if isinstance(draft, dict) and all(isinstance(key, int | float | str) for key in draft):
            fence.keys = list(draft)
        if isinstance(draft, list | tuple | str | dict):
            fence.at(("length",)).choices = [len(draft)]
        return source.draw(context, fence)

    def _shuffled(self, context: Context) -> list[str]:
        if context.chance(0.8):
            return self._order
        return context.random.sample(self._order, len(self._order))

    def edges(
        self,
        context: Context,
        most: int,
        given: Mapping[str, object] | None = None,
        outer: Fence | None = None,
    ) -> Iterator[dict[str, Plan]]:
        """Arguments put together from telling values; not all meet the preconditions."""
        each = max(3, int(most ** (1 / max(1, len(self._parameters)))))
        values = {**(given or {}), **self._fixed}
        yield from itertools.islice(
            self._combined(context, list(self._order), values, {}, each, outer), most
        )

    def _combined(  # noqa: PLR0917  # it calls itself for the next name
        self,
        context: Context,
        names: list[str],
        values: dict[str, object],
        plans: dict[str, Plan],
        each: int,
        outer: Fence | None,
    ) -> Iterator[dict[str, Plan]]:
        if not names:
            yield {name: plans[name] for name in self._parameters}
            return
        name, *rest = names
        pool: Iterable[Plan] = ()
        try:
            pool = self._values[name].edges(context, self._fences.of(name, values, outer))
        except UnfitError:
            return
        if name in self._defaults:
            pool = itertools.chain([OMITTED], pool)
        for plan in itertools.islice(pool, each):
            try:
                value = self._defaults[name] if plan is OMITTED else build(plan)
            except UnfitError:
                continue
            saved = context.relatives
            context.relatives = {kind: list(found) for kind, found in saved.items()}
            _relate(context, value)
            try:
                inner = {**values, name: value}
                yield from self._combined(context, rest, inner, {**plans, name: plan}, each, outer)
            finally:
                context.relatives = saved

    # What happens then.

    def values(self, plans: Mapping[str, Plan]) -> dict[str, object]:
        """The arguments as values, made anew."""
        return {
            name: self._defaults[name] if plan is OMITTED else build(plan)
            for name, plan in plans.items()
        }

    def _meets(self, values: Mapping[str, object]) -> bool:
        return self.contract.meets({**self._fixed, **values})

    def apply(
        self, arguments: Mapping[str, object], given: Mapping[str, object] | None = None
    ) -> Value:
        """What it returns, for arguments that were built; `OMITTED` stands for itself.

        Raises:
            UnfitError: the arguments do not meet the preconditions.
        """
        omitted = [name for name, value in arguments.items() if value is OMITTED.value]
        values = {**(given or {}), **arguments, **{n: self._defaults[n] for n in omitted}}
        if not self._meets(values):
            raise UnfitError("the preconditions do not hold")
        return self.perform(values, omitted)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of what has to be given."""
        return tuple(self._parameters)

    def perform(self, values: Mapping[str, Value], omitted: Iterable[str] = ()) -> Value:
        """Call it without checking anything."""
        left_out = frozenset(omitted)
        positional: list[object] = [values[name] for name in self._bound]
        named: dict[str, object] = {}
        by_name = False
        for name, parameter in self._parameters.items():
            if name in left_out:
                by_name = True
            elif parameter.kind is parameter.VAR_POSITIONAL:
                positional += values[name]
                by_name = True
            elif parameter.kind is parameter.VAR_KEYWORD:
                named |= values[name]
            elif by_name and parameter.kind is parameter.POSITIONAL_ONLY:
                raise UnfitError("a later argument needs an earlier one")
            elif by_name or parameter.kind is parameter.KEYWORD_ONLY:
                named[name] = values[name]
            else:
                positional.append(values[name])
        return _finished(self._invoke(*positional, **named))

    def check(
        self, plans: Mapping[str, Plan], given: Mapping[str, object] | None = None
    ) -> tuple[Broken | None, Any]:
        """Call it with arguments made anew and judge what happens; what was broken, the result.

        Raises:
            UnfitError: the arguments do not meet the preconditions.
        """
        values = {**self._fixed, **(given or {}), **self.values(plans)}
        if not self.contract.meets(values):
            raise UnfitError("the preconditions do not hold")
        whens = [
            (promise, None if promise.when is None else evaluated(promise.when, values))
            for promise in self.contract.promises
        ]
        olds = [captured(one, values) for one in self.contract.ensures]
        omitted = [name for name, plan in plans.items() if plan is OMITTED]
        try:
            result = self.perform(values, omitted)
        except UnfitError:
            raise
        except Exception as error:  # noqa: BLE001  # process boundary: untrusted code ran
            return self._judge_raised(error, whens), None
        except (SystemExit, GeneratorExit) as error:
            return Broken(f"raised {type(error).__name__}", None, told(error)), None
        for promise, when in whens:
            if when and promise.when is not None:
                text = promise.when.text
                names = " or ".join(kind.__name__ for kind in promise.kinds)
                message = f"returned {shown(result)} and did not raise {names}, though `{text}`"
                return Broken(f"silent {text}", text, message), result
        values["result"] = None if self._gives == "self" else result
        if self._gives:
            values[self._gives] = result
        for condition, old in zip(self.contract.ensures, olds, strict=True):
            found = judge(condition, {**values, **old}, result, is_loose=self.is_loose)
            if found is not None:
                return found, result
        return None, result

    def _judge_raised(
        self, error: Exception, whens: list[tuple[Promise, bool | None]]
    ) -> Broken | None:
        if (found := violated(error)) is not None:
            return found
        about = [(p, when) for p, when in whens if isinstance(error, p.kinds)]
        if any(when is None or when for _, when in about):
            return None
        if about:
            condition = about[0][0].when
            text = condition.text if condition else ""
            return Broken(f"raised against {text}", text, f"{told(error)}\n  though not `{text}`")
        if isinstance(error, (*self._allowed, NotImplementedError)):
            return None
        if self.is_loose and isinstance(error, TypeError | AttributeError):
            raise UnfitError("a type that nobody has excluded")
        if isinstance(error, MemoryError | RecursionError | OverflowError):
            raise TooLargeError(told(error))
        return Broken(f"raised {type(error).__name__}", None, told(error))


def _source(
    parameter: inspect.Parameter,
    hint: Value,
    trees: list[ast.AST],
    values_of: Callable[[Value], Values],
) -> Values:
    """Values of one parameter, those of `*args` and `**kwargs` included."""
    values = guessed_values(parameter, trees) if hint is Any else values_of(hint)
    if parameter.kind is parameter.VAR_POSITIONAL:
        return Collections(values, tuple, tuple)
    if parameter.kind is parameter.VAR_KEYWORD:
        return Mappings(Choices(["a", "b", "key"]), values)
    return values


def _finished(result: Value) -> Value:
    """What a coroutine or generator comes to."""
    if inspect.iscoroutine(result):
        try:
            for _ in range(10_000):
                result.send(None)
        except StopIteration as stop:
            return stop.value
        finally:
            result.close()
        raise UntestableError("it waits for something that does not come in the sandbox")
    if inspect.isgenerator(result):
        yielded = list(itertools.islice(result, _MOST_YIELDED + 1))
        if len(yielded) > _MOST_YIELDED:
            raise UnfitError(f"it yields more than {_MOST_YIELDED} items")
        return yielded
    return result


def _says_little(hint: Value) -> bool:
    """Whether a type leaves open what its values, or their items, are."""
    return hint in _BARE or "Any" in str(hint)


def type_hints(function: Callable[..., Any], scope: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of a function or class, without those that cannot be understood."""
    try:
        return typing.get_type_hints(function, include_extras=False)
    except Exception:  # noqa: BLE001  # process boundary: annotations are untrusted expressions
        found = {}
        for name, annotation in getattr(function, "__annotations__", {}).items():
            try:
                text = isinstance(annotation, str)
                found[name] = eval(annotation, dict(scope)) if text else annotation  # noqa: S307
            except Exception:  # noqa: BLE001, S112  # process boundary, as above
                continue
        return found


@functools.lru_cache(maxsize=256)
def _tree_of(function: Callable[..., Any]) -> ast.AST | None:
    try:
        lines, _ = inspect.getsourcelines(function)
        return ast.parse(inspect.cleandoc("\n" + "".join(lines)))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return None


def _relate(  # noqa: C901  # a table of types
    context: Context, value: object, *, deep: bool = True
) -> None:
    """Remember what is worth giving to other parameters too."""
    relatives = context.relatives
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int):
        relatives.setdefault(int, []).extend((value, value + 1, value - 1))
    elif isinstance(value, float):
        relatives.setdefault(float, []).append(value)
    elif isinstance(value, str):
        pieces = [value, value[:1], value[-1:], value[:2], value[1:], value[::-1], value[1:3]]
        relatives.setdefault(str, []).extend(dict.fromkeys(pieces))
        if deep:
            relatives.setdefault(int, []).extend((len(value), len(value) - 1))
    elif isinstance(value, list | tuple | set | frozenset | dict) and deep:
        if isinstance(value, list) and all(
            type(item) in (int, float, str, bool, type(None)) for item in value
        ):
            relatives.setdefault(list, []).append(value)
        items = list(itertools.islice(value, _MANY))
        if isinstance(value, list | tuple) and len(value) > _MANY:
            items.append(value[-1])
        for item in items:
            _relate(context, item, deep=False)
        if all(type(item) is int for item in items) and isinstance(value, list | tuple):
            relatives.setdefault(int, []).append(sum(value))
        relatives.setdefault(int, []).extend((len(value), len(value) - 1, len(value) + 1))
