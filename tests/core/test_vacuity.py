"""Contracts that test nothing are found, and no others."""

from __future__ import annotations

import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.expressions import evaluate
from lattice_lock.core.loader import load_lattice, parse_lattice
from lattice_lock.core.vacuity import find_unspecified, find_vacuous, witnesses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.core.schema import Lattice, Method

EXCHANGE = Path(__file__).parent / "payloads" / "exchange.yaml"
ENTITIES = """
entities:
  Line:
    fields:
      sku: {type: str, pattern: "[A-Z]{3}-[0-9]{4}"}
      price: {type: decimal, ge: 0, le: 10000, scale: 2}
      qty: {type: int, ge: 1, le: 100}
  Order:
    fields:
      id: uuid
      lines: {type: "list[Line]", max_length: 50}
      total: {type: decimal, ge: 0}
      note: {type: "str | null", max_length: 20}
      placed: date
      status: {enum: [new, paid, sent]}
      parent: {type: "Order | null"}
"""


def load(method: str, entities: str = ENTITIES) -> Lattice:
    """A lattice with one method `m`."""
    return parse_lattice(
        "version: v1.0\ngenerated_module: t\n"
        f"{entities}\ninterfaces: {{IShop: {{file: src/shop.py, methods: {{m: {method}}}}}}}",
        file="lattice.yaml",
    )


def only_method(lattice: Lattice) -> Method:
    """The method `m`."""
    return lattice.interfaces["IShop"].methods["m"]


def messages(lattice: Lattice) -> list[str]:
    """What is said about a lattice."""
    return [problem.message for problem in find_vacuous(lattice)]


@pytest.mark.parametrize(
    "method",
    [
        "{params: {a: int}, returns: int, ensures: ['result == result']}",
        "{params: {a: int}, returns: 'list[int]', ensures: ['len(result) >= 0']}",
        "{params: {a: int}, returns: int, ensures: ['result is not None']}",
        "{params: {a: int}, returns: {type: int, ge: 5}, ensures: ['result > 4']}",
        "{params: {a: int}, returns: {type: int, ge: 5}, ensures: ['result >= 0 and result > 1']}",
        "{params: {a: int}, returns: int, ensures: ['result > 0 or result <= 0']}",
        "{params: {a: int}, returns: bool, ensures: ['result or not result']}",
        "{params: {a: int}, returns: {enum: [x, y]}, ensures: [\"result in ['x', 'y']\"]}",
        "{params: {a: int}, returns: Line, ensures: ['result.qty >= 1']}",
        "{params: {a: int}, returns: Line, ensures: ['len(result.sku) > 3']}",
        "{params: {a: int}, returns: 'list[Line]', ensures: ['all(x.qty > 0 for x in result)']}",
        "{params: {a: int}, returns: Order, ensures: ['implies(a > 3, result.total >= 0)']}",
        "{params: {a: int}, returns: int, ensures: ['(result >= result if a > 3 else 1 == 1)']}",
        "{params: {a: int}, requires: ['a > 2'], returns: int, ensures: ['a > 2']}",
        "{params: {o: Order}, ensures: ['o.total >= 0']}",
        "{params: {o: Order}, ensures: ['old(o.total) == old(o.total)']}",
        "{params: {a: {type: float, gt: 0}}, returns: float, ensures: ['a > 0']}",
        "{params: {a: date}, returns: date, ensures: ['result == result']}",
        "{params: {a: int}, returns: 'dict[str, int]', ensures: ['len(result) > -1']}",
    ],
)
def test_a_postcondition_that_cannot_fail_is_found(method: str) -> None:
    """What types and constraints say already says nothing about the code."""
    (message,) = messages(load(method))
    assert "cannot fail" in message


@pytest.mark.parametrize(
    "method",
    [
        (
            "{params: {o: Order}, returns: decimal, ensures:"
            " ['result == sum(x.price * x.qty for x in o.lines)']}"
        ),
        "{params: {o: Order}, returns: Order, ensures: ['result.id == o.id']}",
        "{params: {o: Order}, returns: Order, ensures: ['result.placed == o.placed']}",
        "{params: {o: Order}, ensures: ['o.total == old(o.total)']}",
        "{params: {o: Order}, ensures: [\"o.status == 'paid'\"]}",
        "{params: {o: Order}, ensures: [\"o.status != 'new' or old(o.status) == 'sent'\"]}",
        (
            "{params: {o: Order}, returns: decimal, ensures:"
            " [\"implies(o.status == 'sent' and len(o.lines) == 37, result == 0)\"]}"
        ),
        (
            "{params: {o: Order}, returns: decimal, ensures:"
            " [\"implies(any(x.sku == 'ABC-0001' for x in o.lines), result > 0)\"]}"
        ),
        (
            "{params: {o: Order}, returns: decimal, ensures:"
            " ['all(implies(x.qty == 77, x.price < result) for x in o.lines)']}"
        ),
        "{params: {a: int}, returns: int, ensures: ['result < 987654321']}",
        "{params: {a: int}, returns: int, ensures: ['result != 123456']}",
        "{params: {a: int}, returns: int, ensures: ['result != a * 17 + 3']}",
        "{params: {a: int}, returns: int, ensures: ['not (result == a * 17 + 3)']}",
        "{params: {a: 'list[int]'}, returns: int, ensures: ['result not in [x * 17 for x in a]']}",
        "{params: {a: int}, returns: 'list[int]', ensures: ['result != [1, 2, 3, 5, 8]']}",
        "{params: {a: int}, returns: int, ensures: ['result * 3 != a * 17 + 3 or result > 9']}",
        "{params: {o: Order}, ensures: ['o.total != old(o.total) + 17']}",
        "{params: {a: int}, returns: int, ensures: ['abs(result - a) <= 5000000']}",
        "{params: {a: int}, returns: str, ensures: ['len(result) <= 4000']}",
        "{params: {a: int}, returns: 'list[int]', ensures: ['len(result) < 300']}",
        "{params: {a: int}, returns: str, ensures: [\"not result.startswith('zz-')\"]}",
        "{params: {a: int}, returns: str, ensures: [\"'/' not in result\"]}",
        "{params: {a: int}, returns: str, ensures: ['result == result.lower()']}",
        "{params: {a: int}, returns: str, ensures: ['result.strip() == result']}",
        "{params: {a: int}, returns: str, ensures: [\"len(result.split(',')) <= 3\"]}",
        "{params: {a: str}, returns: str, ensures: ['result != a']}",
        (
            "{params: {n: 'list[str]'}, returns: 'list[str]', ensures:"
            " ['result == sorted(set(n))', 'len(set(result)) == len(result)']}"
        ),
        "{params: {n: 'list[int]'}, returns: 'list[int]', ensures: ['sorted(result) == result']}",
        (
            "{params: {n: 'list[int]'}, returns: int | null, ensures:"
            " ['result is None or result in n', 'implies(len(n) == 0, result is None)']}"
        ),
        (
            "{params: {n: 'list[int]'}, returns: int, raises: {ValueError: 'len(n) == 0'},"
            " ensures: ['all(result >= x for x in n)', 'result in n']}"
        ),
        (
            "{params: {key: uuid}, returns: Order | null, ensures:"
            " ['result is None or result.id == key']}"
        ),
        (
            "{params: {s: 'dict[str, int]', k: str}, returns: bool, ensures:"
            " ['result == (k in s and s[k] > 0)']}"
        ),
        (
            "{params: {s: 'dict[str, int]', k: str, n: {type: int, ge: 1}}, returns: int,"
            " requires: ['k in s'], raises: {ValueError: 's[k] < n'},"
            " ensures: ['result == s[k] - n']}"
        ),
        (
            "{params: {code: {type: str, pattern: '[a-z]+@[a-z]+\\\\.(com|org)'}}, returns: str,"
            " ensures: ['result == code.upper()']}"
        ),
        (
            "{params: {code: {type: str, pattern: '(?=a)a+'}}, returns: str, ensures:"
            " ['result == code']}"
        ),
        (
            "{params: {a: int}, returns: {type: str, pattern: '(?=a)a+'}, ensures:"
            " ['len(result) == 3']}"
        ),
        "{params: {d: date}, returns: bool, ensures: [\"result == (d > '2031-05-05')\"]}",
        "{params: {d: date, e: date}, requires: ['d < e'], returns: int, ensures: ['result > 0']}",
        "{params: {d: datetime}, returns: datetime, ensures: ['result > d']}",
        "{params: {w: timedelta}, returns: timedelta, ensures: [\"result == w * 2 + 'PT1S'\"]}",
        "{params: {a: json}, returns: json, ensures: ['result == a']}",
        (
            "{params: {a: str}, returns: int, ensures:"
            " [\"implies(a.upper() == 'QW' + 'ERTZ', result == 0)\"]}"
        ),
        (
            "{params: {a: str}, returns: int, ensures:"
            " [\"a.upper() != 'QW' + 'ERTZ' or result == 0\"]}"
        ),
        "{params: {a: bytes}, returns: bytes, ensures: ['len(result) == len(a)']}",
        "{params: {a: float}, returns: float, ensures: ['result >= a']}",
        (
            "{params: {a: {type: int, multiple_of: 7, ge: 100, le: 200}}, returns: int,"
            " ensures: ['result % 7 == 0']}"
        ),
        (
            "{params: {a: int, b: int}, requires: ['a == b * 17 + 4'], returns: int,"
            " ensures: ['result == b']}"
        ),
        (
            "{params: {a: int, b: int, c: int}, requires: ['a < b', 'b < c'], returns: int,"
            " ensures: ['a <= result', 'result <= c']}"
        ),
        (
            "{params: {o: Order, p: Order}, requires: ['o.id == p.id', 'o.total > p.total'],"
            " returns: bool, ensures: ['result == (o.status == p.status)']}"
        ),
        (
            "{params: {x: decimal}, requires: ['x > 123456.78', 'x < 123456.80'], returns: decimal,"
            " ensures: ['result < x']}"
        ),
        (
            "{params: {o: Order}, returns: int, ensures:"
            " ['result >= (len(o.note) if o.note is not None else 0)']}"
        ),
        (
            "{params: {o: Order}, returns: int, raises: {LookupError: 'o.parent is None'},"
            " ensures: ['result == len(o.lines)']}"
        ),
        (
            "{params: {o: Order}, returns: int, raises: {LookupError:"
            " \"sum(x.price for x in o.lines) > 5000\"}, ensures: ['result == 1']}"
        ),
        (
            "{params: {n: {type: int, ge: 0, le: 20}}, returns: int, ensures: ['result >= n',"
            " 'implies(n == 13, result == 6227020800)']}"
        ),
        (
            "{params: {price: decimal, rate: {type: decimal, ge: 0, le: 1}}, returns: decimal,"
            " ensures: ['result == round(price * (1 + rate), 2)']}"
        ),
        (
            "{params: {name: str}, raises: {ValueError: 'not name.isdigit()'}, returns: bool,"
            " ensures: ['result']}"
        ),
        (
            "{params: {s: {enum: [a, b, c]}}, raises: {ValueError: \"s == 'c'\"}, returns: int,"
            " ensures: [\"result == {'a': 1, 'b': 2}[s]\"]}"
        ),
    ],
)
def test_a_contract_that_says_something_is_left_alone(method: str) -> None:
    """A false alarm would keep people from stating their contracts."""
    assert messages(load(method)) == []


@pytest.mark.parametrize(
    ("method", "part"),
    [
        ("{params: {a: int}, requires: ['a > 5', 'a < 3']}", "satisfies `a > 5` and `a < 3`"),
        ("{params: {a: {type: int, gt: 0}}, requires: ['a < 0']}", "satisfies `a < 0`"),
        ("{params: {o: Order}, requires: ['o.total < 0']}", "satisfies `o.total < 0`"),
        ("{params: {o: Order}, requires: ['len(o.lines) > 50']}", "`len(o.lines) > 50`"),
        ("{params: {a: bool}, requires: ['a and not a']}", "satisfies `a and not a`"),
        ("{params: {a: int, b: int}, requires: ['a < b', 'b < a']}", "`a < b` and `b < a`"),
    ],
)
def test_a_precondition_that_nothing_satisfies_is_found(method: str, part: str) -> None:
    """Tests behind it would never run."""
    (message,) = messages(load(method))
    assert "No input was found" in message
    assert part in message


@pytest.mark.parametrize(
    ("method", "part"),
    [
        ("{params: {a: {type: int, gt: 0}}, raises: {ValueError: 'a < 0'}}", "is never raised"),
        ("{params: {a: int}, requires: ['a > 0'], raises: {ValueError: 'a < 1'}}", "never raised"),
        ("{params: {a: int}, raises: {ValueError: 'a == a'}}", "nothing but raise ValueError"),
        ("{params: {a: int}, raises: {OSError: 'True'}}", "nothing but raise OSError"),
    ],
)
def test_an_error_that_is_raised_never_or_always_is_found(method: str, part: str) -> None:
    """A condition without a choice declares nothing."""
    (message,) = messages(load(method))
    assert part in message


@pytest.mark.parametrize(
    ("entity", "part"),
    [
        ("{fields: {x: {type: int, ge: 0}}, ensures: ['x >= 0']}", "cannot fail"),
        ("{fields: {x: int}, ensures: ['x == x']}", "cannot fail"),
        ("{fields: {x: {type: int, ge: 0}}, ensures: ['x < 0']}", "No A was found"),
        ("{fields: {x: int, y: int}, ensures: ['x < y', 'y < x']}", "`x < y` and `y < x`"),
    ],
)
def test_an_invariant_that_never_or_always_holds_is_found(entity: str, part: str) -> None:
    """Entities are held to the same standard."""
    lattice = parse_lattice(
        f"version: v1.0\ngenerated_module: t\nentities: {{A: {entity}}}", file="lattice.yaml"
    )
    (message,) = messages(lattice)
    assert part in message


@pytest.mark.parametrize(
    "entity",
    [
        "{fields: {x: {type: int, ge: 0}}, ensures: ['x < 987654']}",
        "{fields: {x: decimal, y: decimal}, ensures: ['x <= y']}",
        "{fields: {price: decimal, qty: int, total: decimal}, ensures: ['total == price * qty']}",
        (
            "{fields: {price: {type: decimal, gt: 0}, qty: {type: int, gt: 0}, total: decimal},"
            " ensures: ['total == price * qty * 1.19 + 4.99']}"
        ),
        "{fields: {low: int, high: int}, ensures: ['low + 1000 < high']}",
        "{fields: {tags: 'list[str]'}, ensures: ['len(set(tags)) == len(tags)']}",
        "{fields: {name: str}, ensures: [\"name.startswith('x-')\"]}",
        "{fields: {name: str}, ensures: [\"name.count('-') == 3\"]}",
        "{fields: {a: date, b: date | null}, ensures: ['b is None or a <= b']}",
        (
            "{fields: {s: {enum: [a, b]}, n: int | null}, ensures:"
            " [\"implies(s == 'a', n is not None)\"]}"
        ),
    ],
)
def test_an_invariant_that_says_something_is_left_alone(entity: str) -> None:
    """Equations between fields are found to have solutions."""
    lattice = parse_lattice(
        "version: v1.0\ngenerated_module: t\n"
        f"entities: {{A: {entity}}}\n"
        "interfaces: {IB: {file: src/b.py, methods: {m: {params: {a: A}, returns: A,"
        " ensures: ['result == a']}}}}",
        file="lattice.yaml",
    )
    assert messages(lattice) == []


def test_an_example_answers_a_doubt() -> None:
    """An input that no search would find counts when an example shows it."""
    clause = "a * a * a == 1860867"
    method = f"{{params: {{a: int}}, requires: ['{clause}']"
    assert "No input was found" in messages(load(method + "}"))[0]
    assert messages(load(method + ", examples: [{args: {a: 123}}]}")) == []


def test_a_problem_stands_at_its_clause() -> None:
    """The place is that of the clause itself."""
    lattice = load("{params: {a: int}, returns: int, ensures: ['result == a', 'result == result']}")
    (problem,) = find_vacuous(lattice)
    text = str(problem.location)
    assert text == str(only_method(lattice).ensures[1].expression.location)


def test_methods_without_a_contract_are_visible() -> None:
    """Nothing is wrong with them, and nothing is tested."""
    lattice = load("{params: {a: int}, returns: int}")
    (warning,) = find_unspecified(lattice)
    assert "`IShop.m` has no contract" in warning.message
    assert find_vacuous(lattice) == ()
    assert (
        find_unspecified(load("{params: {a: int}, returns: int, ensures: ['result == a']}")) == ()
    )


def _is_allowed(method: Method, names: Mapping[str, object]) -> bool:
    return all(evaluate(one.expression, names) is True for one in method.requires)


def test_witnesses_satisfy_the_contract_and_lie_on_its_limits() -> None:
    """Each input is allowed, examples come first, and every side of a limit appears early."""
    lattice = load_lattice(EXCHANGE)
    method = lattice.interfaces["IExecutionService"].methods["fill"]
    found = witnesses(lattice, method, 12)
    assert len(found) == 12
    assert found[0] == method.examples[0].args
    sides = set()
    for names in found:
        assert _is_allowed(method, names)
        order, qty = names["order"], names["qty"]
        assert isinstance(order, dict)
        assert isinstance(qty, Decimal)
        assert Decimal(0) < order["price"] <= 1_000_000
        assert order["quantity"] > 0
        sides.add((qty > order["quantity"]) - (qty < order["quantity"]))
    assert sides == {-1, 0, 1}


def test_witnesses_hold_the_limits_of_the_parameters() -> None:
    """Both ends of a closed range are among the first inputs."""
    lattice = load(
        "{params: {a: {type: int, ge: 3, le: 9}}, returns: int, ensures: ['result == a']}"
    )
    values = [names["a"] for names in witnesses(lattice, only_method(lattice), 6)]
    assert {3, 9} <= set(values)
    assert all(isinstance(value, int) and 3 <= value <= 9 for value in values)


def test_witnesses_match_patterns() -> None:
    """Strings with a pattern are written, not skipped."""
    lattice = load("{params: {x: Line}, returns: int, ensures: ['result == x.qty']}")
    found = witnesses(lattice, only_method(lattice), 10)
    assert len(found) == 10


def test_the_same_lattice_gives_the_same_witnesses_in_every_process() -> None:
    """Nothing depends on the hash seed, so generated tests are the same everywhere."""
    code = (
        "import sys; from pathlib import Path\n"
        "from lattice_lock.core.loader import load_lattice\n"
        "from lattice_lock.core.vacuity import find_vacuous, witnesses\n"
        "lattice = load_lattice(Path(sys.argv[1]))\n"
        "for one in lattice.interfaces.values():\n"
        "    for method in one.methods.values():\n"
        "        print(witnesses(lattice, method, 30), find_vacuous(lattice))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, str(EXCHANGE)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1


def test_the_search_is_fast() -> None:
    """Six methods over nested entities take a fraction of a second even on a busy machine."""
    method = (
        "{params: {o: Order, n: {type: int, ge: 0}}, requires: ['n < 50'], returns: Order,"
        " raises: {ValueError: 'n > len(o.lines)'}, ensures: ['result.id == o.id',"
        " 'result.total == old(o.total) + n', 'len(result.lines) == len(o.lines)']}"
    )
    methods = ", ".join(f"m{index}: {method}" for index in range(6))
    lattice = parse_lattice(
        f"version: v1.0\ngenerated_module: t\n{ENTITIES}\n"
        f"interfaces: {{IShop: {{file: src/shop.py, methods: {{{methods}}}}}}}",
        file="lattice.yaml",
    )
    start = time.perf_counter()
    assert find_vacuous(lattice) == ()
    assert time.perf_counter() - start < 2.0
