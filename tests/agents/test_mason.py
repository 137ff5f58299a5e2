"""What is taken from a reply, and what a file is like afterwards."""

from __future__ import annotations

import ast
import textwrap
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.agents.mason import (
    MAX_REPLY_CHARACTERS,
    CandidateBody,
    Unusable,
    extract_body,
    splice,
)

if TYPE_CHECKING:
    from lattice_lock.core.schema import Interface, Lattice, Method

RIGHT = "return price * quantity"
PLAIN = f"def line_total(price, quantity):\n    {RIGHT}\n"

USABLE = {
    "fenced": f"```python\n{PLAIN}```",
    "fence without a language": f"```\n{PLAIN}```",
    "tildes": f"~~~py\n{PLAIN}~~~",
    "fence never closed": f"Sure!\n```python\n{PLAIN}",
    "fence closed on the code line": f"```python\n{PLAIN.rstrip()}```\nDone.",
    "fence opened twice": f"```\n```python\n{PLAIN}```\n```",
    "longer outer fence": f"````markdown\n```python\n{PLAIN}```\n````",
    "fence closed by quotes": f"```python\n{PLAIN}'''",
    "quoted as mail": f"> ```python\n{PLAIN}> ```",
    "indented fence": f"1. Like so:\n\n   ```python\n{textwrap.indent(PLAIN, '   ')}   ```\n",
    "no fence": PLAIN,
    "prose around": f"Here is the code:\n\n{PLAIN}\nIt multiplies both.",
    "thoughts before": f"<think>```\ndef line_total(price, quantity): return 0\n```</think>{PLAIN}",
    "class": f"class Pricing:\n{textwrap.indent(PLAIN, '    ')}",
    "class of another name": f"class Solution:\n{textwrap.indent(PLAIN, '    ')}",
    "with self": PLAIN.replace("(", "(self, "),
    "with annotations": "def line_total(self, price: Decimal, quantity: int) -> Decimal:\n"
    f"    {RIGHT}",
    "on one line": f"def line_total(price, quantity): {RIGHT}",
    "with docstring": f'def line_total(price, quantity):\n    """Total."""\n    {RIGHT}\n',
    "with comments": f"def line_total(price, quantity):\n    # lattice:ignore[x]\n    {RIGHT}  # !",
    "bare body in a fence": f"```python\n{RIGHT}\n```",
    "bare body, indented": f"    {RIGHT}\n",
    "tabs": PLAIN.replace("    ", "\t"),
    "windows line ends": PLAIN.replace("\n", "\r\n"),
    "byte order mark": f"\ufeff{PLAIN}",
    "full-width letters": PLAIN.replace("line", "\uff4c\uff49\uff4e\uff45"),
    "usage after it": f"```python\n{PLAIN}\nprint(line_total(1, 2))\n```",
    "truncated next function": f"```python\n{PLAIN}\ndef other(x):\n    return (x +",
    "helper before it": f"def helper(x):\n    return x\n\n{PLAIN}",
    "written twice, last one counts": f"def line_total(price, quantity):\n    return 0\n\n{PLAIN}",
    "scaffold repeated first": "```python\ndef line_total(price, quantity):\n"
    f"    raise NotImplementedError\n```\nbecomes\n```python\n{PLAIN}```",
    "100 kB of prose behind": PLAIN + "and so on\n" * 10_000,
}


@pytest.mark.parametrize("reply", USABLE.values(), ids=USABLE.keys())
def test_one_body_comes_out_of_every_wrapping(
    reply: str, pricing: Interface, line_total: Method
) -> None:
    """However a reply is wrapped, the same normalised body is found in it."""
    assert extract_body(reply, pricing, line_total) == CandidateBody(text=RIGHT)


UNUSABLE = {
    "empty": ("", "no Python code"),
    "white space": (" \n\t\n", "no Python code"),
    "prose": ("I am sorry, but I cannot write that function.", "no Python code"),
    "one word": ("Sure", "no body"),
    "empty fence": ("```python\n```", "no Python code"),
    "another function": ("def order_total(price, quantity):\n    return 1", "`order_total`"),
    "another class": ("class A:\n    def b(self):\n        return 1", "`b`, not `line_total`"),
    "look-alike name": ("def line_tot\u0430l(price, quantity):\n    return 1", "not `line_total`"),
    "other parameters": (
        "def line_total(a, b):\n    return a * b",
        "(a, b), not (price, quantity)",
    ),
    "star parameters": ("def line_total(*args):\n    return 1", "(*args), not"),
    "coroutine": ("async def line_total(price, quantity):\n    return 1", "async def"),
    "docstring only": ('def line_total(price, quantity):\n    """Total."""', "is empty"),
    "ellipsis": ("def line_total(price, quantity): ...", "is empty"),
    "placeholder": (
        "def line_total(price, quantity):\n    raise NotImplementedError()",
        "is empty",
    ),
    "syntax error": (
        "def line_total(price, quantity):\n    return price **** quantity",
        "no Python",
    ),
    "null byte": ("def line_total(price, quantity):\n    return\0 1", "no Python code"),
    "lone surrogate": ("def line_total(price, quantity):\n    return '\ud800'", "no Python code"),
    "brackets without end": ("(" * 50_000, "no Python code"),
    "deeply nested": (f"def line_total(price, quantity):\n    return {'-' * 3000}1", "no"),
    "long chain": (f"def line_total(price, quantity):\n    return {'1+' * 800}1", "deep"),
    "100 kB without code": ("word " * 20_000, "no Python code"),
    "code behind the limit": ("\n" * MAX_REPLY_CHARACTERS + PLAIN, "no Python code"),
}


@pytest.mark.parametrize(("reply", "reason"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_reply_without_a_body_is_refused_with_the_reason(
    reply: str, reason: str, pricing: Interface, line_total: Method
) -> None:
    """A hostile or useless reply is refused quickly, in words that tell what was wrong."""
    started = time.perf_counter()
    found = extract_body(reply, pricing, line_total)
    assert isinstance(found, Unusable)
    assert reason in found.reason
    assert time.perf_counter() - started < 5


@given(st.text() | st.text(alphabet="`~ \t\n()defline_total:return'\"#"))
def test_no_text_is_too_strange_to_read(lattice: Lattice, reply: str) -> None:
    """Whatever a model writes, the outcome is a body that parses or a reason."""
    interface = lattice.interfaces["IPricing"]
    found = extract_body(reply, interface, interface.methods["line_total"])
    if isinstance(found, CandidateBody):
        assert ast.parse(found.text).body
    else:
        assert found.reason


def test_mixed_tabs_and_spaces_are_read_as_meant(pricing: Interface, line_total: Method) -> None:
    """A tab beside lines of four spaces, which Python itself refuses, counts as four."""
    reply = "def line_total(price, quantity):\n    total = price * quantity\n\treturn total"
    found = extract_body(reply, pricing, line_total)
    assert found == CandidateBody(text="total = price * quantity\nreturn total")


def test_a_method_without_result_needs_no_return(pricing: Interface) -> None:
    """Bare statements are a body where the method returns nothing."""
    found = extract_body("```\nquantity += 1\n```", pricing, pricing.methods["reset"])
    assert found == CandidateBody(text="quantity += 1")


def test_invisible_characters_become_visible(pricing: Interface, line_total: Method) -> None:
    """Text that an editor would show in another order is written as escapes."""
    reply = "def line_total(price, quantity):\n    return '\u202e' + '\u200b'"
    found = extract_body(reply, pricing, line_total)
    assert found == CandidateBody(text=r"return '\u202e' + '\u200b'")


def test_only_imports_of_used_names_are_kept(pricing: Interface, line_total: Method) -> None:
    """Imports travel with the body, one name each; unused, starred and future ones do not."""
    reply = """
from __future__ import annotations
import os, math as m
import decimal.foo
from decimal import *
from decimal import Decimal, ROUND_HALF_UP as UP
def line_total(price, quantity):
    return m.floor(Decimal(price).quantize(1, UP) + decimal.foo.x)
"""
    found = extract_body(reply, pricing, line_total)
    assert isinstance(found, CandidateBody)
    assert found.imports == (
        "import math as m",
        "import decimal.foo",
        "from decimal import Decimal",
        "from decimal import ROUND_HALF_UP as UP",
    )


def test_generators_lose_their_second_parentheses(pricing: Interface, line_total: Method) -> None:
    """Normalised text reads as a person would write it, and means the same."""
    reply = """
def line_total(price, quantity):
    names = {'ä': any(x for x in price)}
    return sum((sum(y for y in z) for z in quantity)) + max((a for a in z), default=0)
"""
    found = extract_body(reply, pricing, line_total)
    assert isinstance(found, CandidateBody)
    assert found.text == (
        "names = {'ä': any(x for x in price)}\n"
        "return sum(sum(y for y in z) for z in quantity) + max((a for a in z), default=0)"
    )


FILE = '''\
"""Ümläut before everything."""
from decimal import Decimal, ROUND_HALF_UP


class Other:
    def line_total(self): return 1


class Pricing(IPricing):  # kept

    @final
    def line_total(
        self, price: Decimal, quantity: int
    ) -> Decimal:  # kept as well
        """Größe."""
        raise NotImplementedError  # goes

    # stays
    def reset(self, quantity: int) -> None: pass


x = "\u2028"   # a line end to `splitlines` only
'''
MARK = "        raise NotImplementedError  # goes\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("ending", ["\n", ""])
def test_everything_but_the_body_stays_byte_for_byte(
    newline: str, ending: str, pricing: Interface, line_total: Method
) -> None:
    """Only the statements are replaced; line ends, comments and other methods stay."""
    source = (FILE.rstrip("\n") + ending).replace("\n", newline)
    body = CandidateBody(text="if price:\n    pass\nreturn 'ß'")
    expected = (FILE.rstrip("\n") + ending).replace(
        MARK, "        if price:\n            pass\n        return 'ß'\n"
    )
    assert splice(source, pricing, line_total, body) == expected.replace("\n", newline)


PLACES = {
    "on the line of the def": (
        "class Pricing:\n    def line_total(self, price, quantity): raise NotImplementedError; x\n",
        "class Pricing:\n    def line_total(self, price, quantity):\n        return 1\n",
    ),
    "behind the docstring": (
        'class Pricing:\n  def line_total(self):\n    "Doc."; return 0\n  y = 1\n',
        'class Pricing:\n  def line_total(self):\n    "Doc."\n    return 1\n  y = 1\n',
    ),
    "nothing but a docstring": (
        'class Pricing:\n\tdef line_total(self):\n\t\t"""Doc.\n\t\t"""\n\n\ty = 1\n',
        'class Pricing:\n\tdef line_total(self):\n\t\t"""Doc.\n\t\t"""\n\t\treturn 1\n\n\ty = 1\n',
    ),
    "decorated first statement": (
        "class Pricing:\n    def line_total(self):\n        @a\n        @b\n        class c: ...\n",
        "class Pricing:\n    def line_total(self):\n        return 1\n",
    ),
    "at the end without a newline": (
        "class Pricing:\n    def line_total(self):\n        return (\n            0\n        )",
        "class Pricing:\n    def line_total(self):\n        return 1",
    ),
    "defined twice": (
        "class Pricing:\n  def line_total(self):\n    a\n  def line_total(self):\n    b\n",
        "class Pricing:\n  def line_total(self):\n    a\n  def line_total(self):\n    return 1\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), PLACES.values(), ids=PLACES.keys())
def test_a_body_fits_wherever_the_old_one_stands(
    before: str, after: str, pricing: Interface, line_total: Method
) -> None:
    """Odd but valid layouts are replaced in place."""
    assert splice(before, pricing, line_total, CandidateBody(text="return 1")) == after


def test_imports_go_into_the_body_unless_the_file_has_them(
    pricing: Interface, line_total: Method
) -> None:
    """What a body imports cannot change names for the rest of the file."""
    body = CandidateBody(
        text="return Decimal(math.pi)",
        imports=("from decimal import Decimal", "import math", "from os import path as Decimal"),
    )
    result = splice(FILE, pricing, line_total, body)
    assert result == FILE.replace(
        MARK,
        "        import math\n        from os import path as Decimal\n"
        "        return Decimal(math.pi)\n",
    )


@pytest.mark.parametrize(
    "source", ["", "class Other: ...", "class Pricing:\n    def reset(self): ...", "def ("]
)
def test_a_file_without_the_method_is_refused(
    source: str, pricing: Interface, line_total: Method
) -> None:
    """There has to be a method to put the body into."""
    found = splice(source, pricing, line_total, CandidateBody(text="return 1"))
    assert isinstance(found, Unusable)
    assert "`Pricing.line_total` is not in `src/services/pricing.py`" in found.reason


def test_a_body_whose_text_would_shift_is_refused(pricing: Interface, line_total: Method) -> None:
    """Indenting must not change what a body says, as it would inside a triple-quoted text."""
    body = CandidateBody(text='return """a\nb"""')
    found = splice(FILE, pricing, line_total, body)
    assert isinstance(found, Unusable)
    assert "without changing its meaning" in found.reason
