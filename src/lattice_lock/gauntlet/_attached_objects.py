"""Classes of a module: how objects are made, what can be done with them, what stays true."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import TYPE_CHECKING, Any, Final

from lattice_lock.gauntlet._attached_callees import Callee, type_hints
from lattice_lock.gauntlet._attached_checker import CHECKED
from lattice_lock.gauntlet._attached_contracts import Broken, UntestableError, judge, of_icontract
from lattice_lock.gauntlet._attached_inputs import Made, Plan, UnfitError, Value, build
from lattice_lock.gauntlet._attached_types import UnknownTypeError, values_of
from lattice_lock.gauntlet._attached_values import AnyOf, Context, Later, Values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lattice_lock.gauntlet._attached_conditions import Compiled
    from lattice_lock.gauntlet._attached_fences import Fence

__all__ = ["ObjectClass", "World"]

_MOST_CALLS: Final = 5


class ObjectClass:
    """A class: how its objects are made, what can be done with them, what they always satisfy.

    Attributes:
        label: its name.
        new: the constructor.
        methods: its methods, by name.
        public: names of those that anybody may call.
        invariants: conditions on every object.
        is_guarded: whether invariants tell which arguments the constructor takes, because nobody
            wrote that constructor.
    """

    def __init__(self, world: World, cls: type) -> None:
        self.cls = cls
        self.label = cls.__name__
        self._world = world
        world.remember(cls, self)
        self.invariants = _invariants(cls)
        self.is_guarded = _is_generated(cls)
        self.new = self._constructor()
        self.methods: dict[str, Callee] = {}
        self.public: list[str] = []
        for name in dir(cls):
            if name in ("__init__", "__new__") or not self._is_own(name):
                continue
            try:
                callee = world.method(cls, name)
            except (UnknownTypeError, UntestableError, TypeError, ValueError):
                continue
            self.methods[name] = callee
            if not name.startswith("_"):
                self.public.append(name)

    def _is_own(self, name: str) -> bool:
        owner = next((c for c in self.cls.__mro__ if name in vars(c)), object)
        member = vars(owner).get(name)
        if owner.__module__ == "builtins" or owner.__name__ in ("_Dbc", "DBC"):
            return False
        plain = getattr(member, "__func__", member)
        return inspect.isfunction(plain) and not name.startswith("__")

    def _constructor(self) -> Callee:
        functions: list[Callable[..., Any]] = []
        for name in ("__init__", "__new__"):
            for owner in self.cls.__mro__:
                member = vars(owner).get(name)
                plain = getattr(member, "__func__", member)
                if owner.__module__ not in ("builtins", "typing", "abc") and inspect.isfunction(
                    plain
                ):
                    functions.append(plain)
                    break
        try:
            signature = inspect.signature(self.cls)
        except (TypeError, ValueError) as error:
            raise UnknownTypeError(f"`{self.label}` cannot be made: {error}") from error
        # What `NamedTuple` writes knows its types only by name.
        hints = type_hints(self.cls, {}) if hasattr(self.cls, "_field_defaults") else None
        gives = "result" if functions and functions[0].__name__ == "__new__" else "self"
        return Callee(
            self._world.values_of,
            self.label,
            self.cls,
            functions=functions,
            signature=signature,
            gives=gives,
            hints=hints,
        )

    def make(self, arguments: Mapping[str, object]) -> object:
        """The object; see `Maker`."""
        made = self._quietly(lambda: self.new.apply(arguments))
        if self.broken_invariant(made) is not None:
            raise UnfitError("an invariant does not hold")
        return made

    def follow(self, target: object, name: str, arguments: Mapping[str, object]) -> None:
        """Call a method; see `Maker`."""
        self._quietly(lambda: self.methods[name].apply(arguments, {"self": target}))
        if self.broken_invariant(target) is not None:
            raise UnfitError("an invariant does not hold")

    @staticmethod
    def _quietly(action: Callable[[], Any]) -> Value:
        try:
            return action()
        except UnfitError:
            raise
        except Exception as error:  # process boundary: untrusted code ran
            raise UnfitError(str(type(error))) from error

    def broken_invariant(self, target: object) -> Broken | None:
        """The first invariant that does not hold."""
        if not isinstance(target, self.cls):
            return None
        for condition in self.invariants:
            found = judge(condition, {"self": target}, target)
            if found is not None:
                return Broken(
                    f"invariant {found.key}",
                    found.clause,
                    f"broke the invariant `{condition.text}`",
                )
        return None

    # As a source of values.

    def accepts(self, kinds: tuple[type, ...]) -> bool:
        return any(issubclass(self.cls, kind) for kind in kinds)

    def _outer(self, fence: Fence) -> Fence | None:
        """What is asked of a new type is asked of the only argument of its constructor."""
        is_new_type = "__new__" in vars(self.cls) and len(self.new.parameters) == 1
        return fence if is_new_type else None

    def edges(self, context: Context, fence: Fence) -> list[Plan]:
        found = self.new.edges(context, 60, outer=self._outer(fence))
        return [Made(self, arguments) for arguments in found if self._can(arguments)]

    def _can(self, arguments: Mapping[str, Plan]) -> bool:
        try:
            build(Made(self, arguments))
        except UnfitError:
            return False
        return True

    def draw(self, context: Context, fence: Fence) -> Plan:
        plan = Made(self, self.new.draw(context, outer=self._outer(fence)))
        target = build(plan)
        if not self.public or not isinstance(target, self.cls) or context.chance(0.5):
            return plan
        calls: list[tuple[str, Mapping[str, Plan]]] = []
        for _ in range(context.random.randint(1, _MOST_CALLS)):
            name = context.random.choice(self.public)
            try:
                arguments = self.methods[name].draw(context, {"self": target})
                self.follow(target, name, {n: build(p) for n, p in arguments.items()})
            except UnfitError:
                break
            calls.append((name, arguments))
        return Made(self, plan.arguments, tuple(calls)) if calls else plan


def _is_generated(cls: type) -> bool:
    """Whether `dataclass` wrote the constructor; then there is no body that could be wrong."""
    function = inspect.unwrap(inspect.getattr_static(cls, "__init__"))
    code = getattr(function, "__code__", None)
    return dataclasses.is_dataclass(cls) and code is not None and code.co_filename == "<string>"


def _invariants(cls: type) -> list[Compiled]:
    found: dict[int, Any] = {}
    for owner in reversed(cls.__mro__):
        for contract in vars(owner).get("__invariants__", ()):
            found.setdefault(id(contract), contract)
    return [of_icontract(contract, ("self",), ()) for contract in found.values()]


class World:
    """What is known of the module under test."""

    def __init__(self) -> None:
        self._classes: dict[type, ObjectClass] = {}

    def remember(self, cls: type, described: ObjectClass) -> None:
        """Keep a description, before it is complete: a class may have objects of its own kind."""
        self._classes[cls] = described

    def object_class(self, cls: type) -> ObjectClass:
        """The description of a class."""
        return self._classes.get(cls) or ObjectClass(self, cls)

    def values_of(self, annotation: Value) -> Values:
        """Values of a type."""
        return values_of(annotation, self._objects)

    def _objects(self, cls: type) -> Values:
        if inspect.isabstract(cls) or getattr(cls, "_is_protocol", False):
            concrete = [one for one in _subclasses(cls) if not inspect.isabstract(one)]
            if not concrete:
                raise UnknownTypeError(f"nothing implements the abstract class `{cls.__name__}`")
            return AnyOf(
                [Later(functools.partial(self.object_class, one), one) for one in concrete]
            )
        return Later(functools.partial(self.object_class, cls), cls)

    def function(self, name: str, function: Callable[..., Any]) -> Callee:
        """A function of the module."""
        plain = getattr(function, CHECKED, function)
        return Callee(self.values_of, name, plain, functions=[plain])

    def method(self, cls: type, name: str) -> Callee:
        """A method of a class, with the clauses that it inherits."""
        member = inspect.getattr_static(cls, name)
        functions = []
        for owner in cls.__mro__:
            found = vars(owner).get(name)
            found = found.fget if isinstance(found, property) else found
            found = getattr(found, "__func__", found)
            if callable(found):
                functions.append(getattr(found, CHECKED, found))
        label = f"{cls.__name__}.{name}"
        if isinstance(member, staticmethod):
            return Callee(self.values_of, label, functions[0], functions=functions)
        if isinstance(member, classmethod):
            bound = functools.partial(functions[0], cls)
            parameters = list(inspect.signature(functions[0]).parameters.values())
            signature = inspect.Signature(parameters[1:])
            return Callee(
                self.values_of,
                label,
                bound,
                functions=functions,
                signature=signature,
                fixed={parameters[0].name: cls},
            )
        first = next(iter(inspect.signature(functions[0]).parameters))
        if first != "self":
            raise UntestableError(f"its first parameter is `{first}` instead of `self`")
        return Callee(self.values_of, label, functions[0], functions=functions, bound=("self",))


def _subclasses(cls: type) -> list[type]:
    direct: list[type] = cls.__subclasses__()
    return [one for each in direct for one in (each, *_subclasses(each))]
