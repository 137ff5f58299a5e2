"""What a model is told about a method."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from lattice_lock.agents.mason import CandidateBody, extract_body
from lattice_lock.agents.prompt import Feedback, build_prompt
from lattice_lock.messages import Role

if TYPE_CHECKING:
    from lattice_lock.core.schema import Interface, Lattice, Method


def _asked(lattice: Lattice, interface: str, method: str, feedback: Feedback | None = None) -> str:
    declared = lattice.interfaces[interface]
    return build_prompt(lattice, declared, declared.methods[method], feedback)[-1].text


def _code(prompt: str) -> str:
    return prompt.split("```python\n")[1].removesuffix("```")


def test_the_whole_contract_is_told(lattice: Lattice) -> None:
    """Signature, description, clauses, declared errors and examples are all there."""
    assert _asked(lattice, "IPricing", "line_total") == (
        "Complete this Python function. Reply with the whole function in one code block.\n\n"
        "```python\n"
        "def line_total(price: Decimal, quantity: int) -> Decimal:\n"
        '    """Price of one line.\n'
        "\n"
        "    `price`: price of one piece\n"
        "    The result is at least 0.\n"
        "    The caller ensures `quantity < 1000`.\n"
        "    The result satisfies `result == price * quantity` (exact).\n"
        '    Example: `line_total(Decimal("2.50"), 2) == Decimal("5.00")`.\n'
        '    """\n'
        "    if price > 500:\n"
        '        raise ValueError("price > 500")\n'
        "```"
    )


def test_a_failure_is_told_with_the_limits_of_the_parameters(lattice: Lattice) -> None:
    """After a failure the next prompt says what was wrong, on one line of bounded length."""
    reason = 'with price=1:\n  """wrong""" ' + "x " * 1000
    prompt = _asked(lattice, "IPricing", "line_total", Feedback(reason=reason))
    assert "`price` is at least 0, of at most 2 digits after the decimal point." in prompt
    (note,) = (line for line in prompt.splitlines() if line.startswith("    Note: with price=1:"))
    assert len(note) < 450
    ast.parse(_code(prompt))


def test_types_are_told_down_to_the_last(lattice: Lattice) -> None:
    """Entities and enums that a parameter reaches come first, each before its user."""
    code = _code(_asked(lattice, "IScale", "weigh"))
    assert [node.name for node in ast.parse(code).body if hasattr(node, "name")] == [
        "SizeUnit",
        "Size",
        "Parcel",
        "weigh",
    ]
    assert '    INCH = "inch"\n' in code
    assert "    label: str | None\n" in code


def test_dependencies_are_told_as_the_class_has_them(lattice: Lattice) -> None:
    """A method that may use another interface is shown inside its class."""
    code = _code(_asked(lattice, "IPost", "postage"))
    assert "class IScale:\n    def weigh(self, parcel: Parcel) -> int: ...\n" in code
    assert "        self._scale = scale\n" in code
    assert "    def postage(self, parcel: Parcel) -> int:\n" in code


@pytest.mark.parametrize("method", ["line_total", "reset"])
def test_the_example_is_itself_a_question_and_its_answer(
    lattice: Lattice, pricing: Interface, method: str
) -> None:
    """The conversation alternates, and the shown answer has the form that is asked for."""
    declared: Method = pricing.methods[method]
    example, answer, question = build_prompt(lattice, pricing, declared)
    assert [one.role for one in (example, answer, question)] == [
        Role.USER,
        Role.ASSISTANT,
        Role.USER,
    ]
    shown = ast.parse(_code(answer.text)).body[0]
    assert isinstance(shown, ast.FunctionDef)
    asked = ast.parse(_code(example.text) + "    return None\n").body[0]
    assert isinstance(asked, ast.FunctionDef)
    assert ast.dump(asked.args) == ast.dump(shown.args)
    assert ("raise" in _code(answer.text)) is bool(declared.raises)


def test_the_prompt_itself_is_no_answer(
    lattice: Lattice, pricing: Interface, line_total: Method
) -> None:
    """A model that repeats the question has proposed nothing but the guard clauses."""
    reply = _asked(lattice, "IPricing", "line_total")
    found = extract_body(reply, pricing, line_total)
    assert isinstance(found, CandidateBody)
    assert found.text.splitlines() == ["if price > 500:", "    raise ValueError('price > 500')"]
