"""What changed between two versions of a lattice, whom it breaks, and the version it needs.

Both sides are given as the elements of `elements.describe_elements`, because that is what
`lattice.lock` keeps of the version before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from lattice_lock.core._element_values import (
    Direction,
    clause_shifts,
    field_shifts,
    listed,
    parse_field,
    value_shifts,
)
from lattice_lock.core.elements import describe_elements
from lattice_lock.exceptions import LockfileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lattice_lock.core._element_values import Shift
    from lattice_lock.core.lockfile import LockFile
    from lattice_lock.core.schema import Lattice

__all__ = ["Bump", "Change", "Comparison", "Party", "compare_elements", "compare_with_lock"]


class Party(StrEnum):
    """Who depends on a lattice.

    Producers make values of an entity, consumers read them; callers call an interface,
    implementers stand behind it. Implementers live in the project itself, where `check` holds
    them to the new contract; the version is for all others.
    """

    PRODUCERS = "producers"
    CONSUMERS = "consumers"
    CALLERS = "callers"
    IMPLEMENTERS = "implementers"


class Bump(StrEnum):
    """Which part of a version goes up; in ascending order."""

    NONE = "none"
    PATCH = "patch"
    MINOR = "minor"
    MAJOR = "major"

    @property
    def rank(self) -> int:
        """0 for none up to 3 for major."""
        return list(Bump).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that changed.

    Attributes:
        subject: path of the element, as in `lattice.lock`; a list of clauses counts as one.
        before: the element's text, None where it is new.
        after: the element's text, None where it is gone.
        reason: what the change means, as a phrase.
        breaks: whom it certainly breaks.
        may_break: whom it breaks depending on what they do, or on what cannot be decided here.
    """

    subject: str
    before: str | None
    after: str | None
    reason: str
    bump: Bump
    breaks: tuple[Party, ...] = ()
    may_break: tuple[Party, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two versions of a lattice, compared.

    Attributes:
        declared: by how much the version went up; none where it stayed or went down.
        needed: by how much it must go up at least.
    """

    old_version: str
    new_version: str
    changes: tuple[Change, ...]
    declared: Bump
    needed: Bump

    @property
    def is_enough(self) -> bool:
        """Whether the version went up by what the changes need."""
        return self.declared.rank >= self.needed.rank


def compare_elements(old: Mapping[str, str], new: Mapping[str, str]) -> Comparison:
    """Every change from `old` to `new`, in order of their subjects, and the version it needs.

    Before 1.0 a minor version may break; a change that needs no more than a patch needs nothing
    where versions have two parts. Both sides must have a `version`.
    """
    renames = _renamed_entities(old, new)
    before, after = (
        _grouped({path: text for path, text in side.items() if path != "version"})
        for side in (_under_new_names(old, renames), _under_new_names(new, {}))
    )
    found = [*_changes(before, after)]
    found += (_renaming(f"entities.{one}", f"entities.{now}") for one, now in renames.items())
    changes = tuple(sorted(found, key=lambda change: change.subject))
    needed = max((change.bump for change in changes), key=lambda bump: bump.rank, default=Bump.NONE)
    first, last = _version(old["version"]), _version(new["version"])
    if needed is Bump.MAJOR and first[0] == 0:
        needed = Bump.MINOR
    if needed is Bump.PATCH and len(first) == len(last) == 2:  # noqa: PLR2004 -- major and minor
        needed = Bump.NONE
    return Comparison(
        old_version=old["version"],
        new_version=new["version"],
        changes=changes,
        declared=_declared(first, last),
        needed=needed,
    )


def compare_with_lock(lock: LockFile, lattice: Lattice) -> Comparison:
    """Every change since a lattice was compiled.

    Raises:
        LockfileError: the lock does not say which version was compiled.
    """
    if not _VERSION.fullmatch(lock.elements.get("version", "")):
        raise LockfileError(
            "the lock does not say which version of the lattice was compiled",
            hint="Restore it from version control, or delete it and run `lattice-lock compile`.",
        )
    return compare_elements(lock.elements, describe_elements(lattice))


_VERSION = re.compile(r"v[0-9]+(\.[0-9]+){1,2}")


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.removeprefix("v").split(".")))


def _declared(old: tuple[int, ...], new: tuple[int, ...]) -> Bump:
    first, last = ((*version, 0)[:3] for version in (old, new))
    if last <= first:
        return Bump.NONE
    place = next(place for place in range(3) if first[place] != last[place])
    return (Bump.MAJOR, Bump.MINOR, Bump.PATCH)[place]


_Elements = dict[str, list[str]]
_Found = Iterator[Change]
_Rule = Callable[[str, Sequence[str], Sequence[str]], _Found]

_NUMBERED = re.compile(r"(.+\.(?:requires|ensures))\[\d+\]")
_LIMIT = re.compile(r"(?:max_suppressions=\d+|migrations=\S+) ?")
_OWNER = re.compile(r"((?:entities|interfaces)\.\w+)(\.(?:fields|methods)\.\w+)?(\.params\.\w+)?")


_ENTITY = re.compile(r"entities\.(\w+)")
_FORMER = re.compile(r" ?renamed_from=(\w+)")


def _renamed_entities(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Entities that are gone, with the names that they say they have now."""
    before, after = (
        {one[1] for path in side if (one := _ENTITY.match(path))} for side in (old, new)
    )
    found: dict[str, str] = {}
    for path, text in new.items():
        name, former = _ENTITY.fullmatch(path), _FORMER.search(text)
        if name and former and name[1] not in before and former[1] in before - after:
            found.setdefault(former[1], name[1])
    return found


def _under_new_names(elements: Mapping[str, str], renames: Mapping[str, str]) -> dict[str, str]:
    """The elements of entities under other names, and types and references that mention them.

    What an entity was called is left out: it is told as a rename, or was so before.
    """
    found: dict[str, str] = {}
    for path, text in elements.items():
        name = _ENTITY.match(path)
        if name and name.end() == len(path):
            rest = _FORMER.sub("", text)
            if rest or rest == text:
                found[f"entities.{renames.get(name[1], name[1])}"] = rest
            continue
        if name and name[1] in renames:
            path = f"entities.{renames[name[1]]}{path[name.end() :]}"  # noqa: PLW2901 -- its name now
        found[path] = _mentioning(text, renames) if _TYPED.fullmatch(path) else text
    return found


_TYPED = re.compile(
    r"entities\.\w+\.fields\.\w+|interfaces\.\w+\.methods\.\w+\.(params\.\w+|returns)"
)


_VALUES = re.compile(r"\b(?!list\[|dict\[)\w+\[")


def _mentioning(text: str, renames: Mapping[str, str]) -> str:
    kind = parse_field(text).type
    rest = text.removeprefix(kind)
    enum = _VALUES.search(kind)
    end = enum.end() if enum else len(kind)
    names, values = kind[:end], kind[end:]
    for old, new in renames.items():
        # The enum of a field is called after its entity.
        names = re.sub(rf"\b{old}(?=\b|[A-Z]\w*\[)", new, names)
        rest = rest.replace(f" references={old}.", f" references={new}.")
    return names + values + rest


def _grouped(elements: Mapping[str, str]) -> _Elements:
    """Elements by path, the clauses of one list together: their numbers say nothing."""
    groups: _Elements = {}
    for path, text in elements.items():
        numbered = _NUMBERED.fullmatch(path)
        groups.setdefault(numbered[1] if numbered else path, []).append(text)
    return groups


def _owners(path: str) -> list[str]:
    """The entity or interface, then the field or method, then the parameter of an element."""
    found = _OWNER.match(path)
    parts = [part for part in found.groups() if part] if found else []
    return ["".join(parts[: end + 1]) for end in range(len(parts))]


def _changes(old: _Elements, new: _Elements) -> _Found:
    """Changes of whole elements first; what belongs to one that came or went is not told again."""
    before, after = ({one for path in side for one in _owners(path)} for side in (old, new))
    renamed = dict(_renamed(old, new))
    told = set(renamed) | set(renamed.values())
    for earlier, path in renamed.items():
        yield _renaming(earlier, path)
        yield from _fields(path, old[earlier], new[path])
    for path in sorted(before ^ after):
        if told.isdisjoint(_owners(path)):
            texts = (old if path in before else new).get(path, [])
            yield _whole(path, "".join(texts), added=path in after)
        told.add(path)
    was_limited = _limited(old)
    for path in sorted(was_limited ^ _limited(new)):
        if told.isdisjoint(_owners(path)):
            yield from (_no_moves if path in was_limited else _first_moves)(path, [], [])
        told.update(one for one in (*old, *new) if one.startswith(f"{path}."))
    for path in sorted({*old, *new}):
        unseen = path not in told and told.isdisjoint(_owners(path))
        if unseen and old.get(path) != new.get(path):
            yield from _element(path, old, new)


def _limited(elements: _Elements) -> set[str]:
    """Enum fields with transitions; in any other field every state may follow every state."""
    found = (re.match(r"entities\.\w+\.transitions\.\w+", path) for path in elements)
    return {one[0] for one in found if one}


def _renamed(old: _Elements, new: _Elements) -> Iterator[tuple[str, str]]:
    for path, (text, *_) in new.items():
        if re.fullmatch(r"entities\.\w+\.fields\.\w+", path) and path not in old:
            earlier = parse_field(text).renamed_from
            before = f"{path.rpartition('.')[0]}.{earlier}"
            if earlier and before in old and before not in new:
                yield before, path


def _renaming(before: str, after: str) -> Change:
    return Change(
        subject=after,
        before=before.rpartition(".")[2],
        after=after.rpartition(".")[2],
        reason="renamed",
        bump=Bump.MAJOR,
        breaks=(Party.PRODUCERS, Party.CONSUMERS),
    )


def _whole(path: str, text: str, *, added: bool) -> Change:
    """An entity, field, interface, method or parameter that came or went."""
    kind = _kind(path)
    bump, breaks, may_break, reason = _WHOLE[kind, added]
    if kind == "field" and added and parse_field(text).default is not None:
        reason = "a field that may be left out"
        bump, breaks, may_break = Bump.MINOR, (), (Party.CONSUMERS,)
    return Change(
        subject=path,
        before=None if added else text,
        after=text if added else None,
        reason=reason,
        bump=bump,
        breaks=breaks,
        may_break=may_break,
    )


def _kind(path: str) -> str:
    found = _OWNER.fullmatch(path)
    if found is None or found[3]:
        return "parameter"
    whole = path.startswith("entities.")
    if found[2]:
        return "field" if whole else "method"
    return "entity" if whole else "interface"


_Effect = tuple[Bump, tuple[Party, ...], tuple[Party, ...], str]

_DATA = (Party.PRODUCERS, Party.CONSUMERS)
_CODE = (Party.CALLERS, Party.IMPLEMENTERS)
_WHOLE: dict[tuple[str, bool], _Effect] = {
    ("entity", True): (Bump.MINOR, (), (), "a new entity"),
    ("entity", False): (Bump.MAJOR, _DATA, (), "an entity that is gone"),
    ("field", True): (Bump.MAJOR, (Party.PRODUCERS,), (Party.CONSUMERS,), "a new required field"),
    ("field", False): (Bump.MAJOR, _DATA, (), "a field that is gone"),
    ("interface", True): (Bump.MINOR, (), (), "a new interface"),
    ("interface", False): (Bump.MAJOR, _CODE, (), "an interface that is gone"),
    ("method", True): (Bump.MINOR, (Party.IMPLEMENTERS,), (), "a new method"),
    ("method", False): (Bump.MAJOR, (Party.CALLERS,), (), "a method that is gone"),
    ("parameter", True): (Bump.MAJOR, _CODE, (), "a new parameter"),
    ("parameter", False): (Bump.MAJOR, _CODE, (), "a parameter that is gone"),
}

# What a direction means depends on where a value or a clause stands.
_Meaning = tuple[Bump, tuple[Party, ...], tuple[Party, ...]]
_UNCHANGED: _Meaning = (Bump.PATCH, (), ())
_FIELD: dict[Direction, _Meaning] = {
    Direction.NARROWER: (Bump.MAJOR, (Party.PRODUCERS,), ()),
    Direction.WIDER: (Bump.MINOR, (), (Party.CONSUMERS,)),
    Direction.NULLABLE: (Bump.MAJOR, (Party.CONSUMERS,), ()),
    Direction.OTHER: (Bump.MAJOR, _DATA, ()),
    Direction.UNKNOWN: (Bump.MAJOR, (), _DATA),
    Direction.AMONG_OTHERS: (Bump.MAJOR, (), (Party.PRODUCERS,)),
    Direction.OPTIONAL: (Bump.MINOR, (), ()),
    Direction.DEFAULT: (Bump.MINOR, (), (Party.PRODUCERS,)),
    Direction.SAME: _UNCHANGED,
}
_GIVEN: dict[Direction, _Meaning] = {
    Direction.NARROWER: (Bump.MAJOR, (Party.CALLERS,), ()),
    Direction.WIDER: (Bump.MINOR, (Party.IMPLEMENTERS,), ()),
    Direction.NULLABLE: (Bump.MINOR, (Party.IMPLEMENTERS,), ()),
    Direction.OTHER: (Bump.MAJOR, _CODE, ()),
    Direction.UNKNOWN: (Bump.MAJOR, (), _CODE),
    Direction.SAME: _UNCHANGED,
}
_PROMISED: dict[Direction, _Meaning] = {
    Direction.NARROWER: (Bump.MINOR, (Party.IMPLEMENTERS,), ()),
    Direction.WIDER: (Bump.MAJOR, (Party.CALLERS,), ()),
    Direction.NULLABLE: (Bump.MAJOR, (Party.CALLERS,), ()),
    Direction.OTHER: (Bump.MAJOR, _CODE, ()),
    Direction.UNKNOWN: (Bump.MAJOR, (), _CODE),
    Direction.SAME: _UNCHANGED,
}


def _shifted(path: str, shifts: Iterable[Shift], meanings: dict[Direction, _Meaning]) -> _Found:
    for shift in shifts:
        bump, breaks, may_break = meanings[shift.direction]
        yield Change(
            subject=path,
            before=shift.before,
            after=shift.after,
            reason=shift.reason,
            bump=bump,
            breaks=breaks,
            may_break=may_break,
        )


def _element(path: str, old: _Elements, new: _Elements) -> _Found:
    """Changes of an element that is not whole by itself, or that is there in both versions."""
    for pattern, rule in _RULES:
        if re.fullmatch(pattern, path):
            yield from rule(path, old.get(path, []), new.get(path, []))
            return


def _fields(path: str, old: Sequence[str], new: Sequence[str]) -> _Found:
    return _shifted(path, field_shifts(old[0], new[0]), _FIELD)


def _values(meanings: dict[Direction, _Meaning]) -> _Rule:
    def rule(path: str, old: Sequence[str], new: Sequence[str]) -> _Found:
        # A method that returns nothing has no element for it.
        shifts = value_shifts("".join(old) or "nothing", "".join(new) or "nothing")
        return _shifted(path, shifts, meanings)

    return rule


def _clauses(meanings: dict[Direction, _Meaning]) -> _Rule:
    def rule(path: str, old: Sequence[str], new: Sequence[str]) -> _Found:
        return _shifted(path, clause_shifts(old, new), meanings)

    return rule


def _plain(
    reason: str,
    bump: Bump,
    *,
    breaks: tuple[Party, ...] = (),
    may_break: tuple[Party, ...] = (),
) -> _Rule:
    def rule(path: str, old: Sequence[str], new: Sequence[str]) -> _Found:
        yield Change(
            subject=path,
            before="; ".join(old) or None,
            after="; ".join(new) or None,
            reason=reason,
            bump=bump,
            breaks=breaks,
            may_break=may_break,
        )

    return rule


def _either(decide: Callable[[str, str], bool], yes: _Rule, no: _Rule) -> _Rule:
    """One rule or another, by the texts before and after (empty where there was none)."""

    def rule(path: str, old: Sequence[str], new: Sequence[str]) -> _Found:
        return (yes if decide("".join(old), "".join(new)) else no)(path, old, new)

    return rule


def _has_more(before: str, after: str) -> bool:
    return not set(listed(after)) <= set(listed(before))


def _same_modules(before: str, after: str) -> bool:
    return _LIMIT.sub("", before) == _LIMIT.sub("", after)


def _moved(before: str, after: str) -> bool:
    return before.partition(" ")[0] != after.partition(" ")[0]


_first_moves = _plain("states follow rules now", Bump.MAJOR, breaks=(Party.PRODUCERS,))
_no_moves = _plain("any state may follow", Bump.MINOR, may_break=(Party.CONSUMERS,))
_fewer_moves = _plain("fewer transitions", Bump.MAJOR, breaks=(Party.PRODUCERS,))
_more_moves = _plain("more transitions", Bump.MINOR, may_break=(Party.CONSUMERS,))


def _moves(path: str, old: Sequence[str], new: Sequence[str]) -> _Found:
    before, after = "".join(old), "".join(new)
    if _has_more(after, before):
        yield from _fewer_moves(path, old, new)
    if _has_more(before, after):
        yield from _more_moves(path, old, new)


_METHOD = r"interfaces\.\w+\.methods\.\w+"
_RULES: tuple[tuple[str, _Rule], ...] = (
    (r".* description", _plain("another description", Bump.PATCH)),
    (r"entities\.\w+\.fields\.\w+", _fields),
    (r"entities\.\w+\.ensures", _clauses(_FIELD)),
    (r"entities\.\w+\.transitions\..*", _moves),
    (
        r"entities\.\w+",
        _either(
            lambda before, _: "table" in before,
            _plain("no table any more", Bump.MAJOR, breaks=(Party.CONSUMERS,)),
            _plain("stored as a table from now on", Bump.MINOR),
        ),
    ),
    (rf"{_METHOD}\.params\.\w+", _values(_GIVEN)),
    (rf"{_METHOD}\.returns", _values(_PROMISED)),
    (rf"{_METHOD}\.requires", _clauses(_GIVEN)),
    (rf"{_METHOD}\.ensures", _clauses(_PROMISED)),
    (
        rf"{_METHOD}\.raises\..*",
        _either(
            lambda before, _: not before,
            _plain("a new error", Bump.MAJOR, breaks=_CODE),
            _plain("raised for other arguments", Bump.MAJOR, may_break=_CODE),
        ),
    ),
    (rf"{_METHOD}\.examples.*", _plain("other examples", Bump.PATCH)),
    (r"interfaces\.\w+\.depends_on", _plain("other dependencies", Bump.MAJOR, breaks=_CODE)),
    (
        r"interfaces\.\w+",
        _either(
            _moved,
            _plain("the implementation moved", Bump.MAJOR, breaks=(Party.CALLERS,)),
            _plain("another scaffold", Bump.PATCH),
        ),
    ),
    (
        r"config\.forbidden_imports",
        _either(
            _has_more,
            _plain("more is forbidden", Bump.PATCH, may_break=(Party.IMPLEMENTERS,)),
            _plain("less is forbidden", Bump.PATCH),
        ),
    ),
    (
        r"config",
        _either(
            _same_modules,
            _plain("another limit on suppressions, or other migrations", Bump.PATCH),
            _plain("modules have other names", Bump.MAJOR, breaks=(*_DATA, *_CODE)),
        ),
    ),
    (r"generated_module", _plain("the earlier module stays importable", Bump.PATCH)),
    (r".*", _plain("other rules for the project", Bump.PATCH)),
)
