"""What to do about a verdict, for whoever mends the code."""

from __future__ import annotations

import re
from typing import Final

from lattice_lock.gauntlet.verdict import ANY_METHOD, Outcome

__all__ = ["suggestion"]

_METHOD: Final = re.compile(r"interfaces\.\w+\.methods\.(\w+)")

_BY_MESSAGE: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (
        re.compile(r"raised NotImplementedError"),
        "Write the body of {method}, or have `lattice-lock build` write it.",
    ),
    (
        re.compile(r"raised "),
        (
            "Handle this input without the error, or declare the error and its condition under"
            " `raises`, or exclude the input by `requires`."
        ),
    ),
    (
        re.compile(r"did not answer within|used up its processor time"),
        "Make the call end for this input: look for a loop or a recursion that does not.",
    ),
    (
        re.compile(r"ran out of memory|was killed, most likely for want of memory"),
        "Hold less in memory for this input.",
    ),
    (
        re.compile(r"tried "),
        (
            "Remove that: a body computes from its arguments and its dependencies, and reaches"
            " neither files, network nor processes."
        ),
    ),
    (
        re.compile(r"cannot be imported|could not be imported"),
        "Mend the module so that it can be imported.",
    ),
    (
        re.compile(r"gave different answers"),
        "Remove what makes the answer depend on chance, time or what was called before.",
    ),
    (
        re.compile(r"returned |left in an argument|changed an argument that is immutable"),
        "Return plain data of the declared type, and leave the arguments alone.",
    ),
    (re.compile(r"ended its process|crashed|wrote something"), "Return the answer, nothing else."),
    (
        re.compile(r"(interfaces\.\w+\.methods\.\w+\.\w+[^:]*: )?calls \w+\.\w+"),
        (
            "Check what is passed to the dependency before the call, or demand it of callers by"
            " `requires` of {method}."
        ),
    ),
)

_BY_OUTCOME: Final = {
    Outcome.VACUOUS: (
        "Nothing was tested, so this is no pass: loosen `requires`, or add an example to {method}"
        " that satisfies it."
    ),
    Outcome.ERROR: "Nothing is known of the code: run it again, and judge fewer methods at once.",
    Outcome.PASSED: "",
    Outcome.REFUTED: "Change {method} so that it answers rightly for this input.",
}


def suggestion(outcome: Outcome, message: str, *, clause: str | None, method: str) -> str:
    """One sentence that says what to do next; empty for a pass."""
    found = _METHOD.match(clause or "")
    named = f"`{method}`"
    if method == ANY_METHOD:
        named = f"`{found[1]}`, or what was called before it," if found else "the methods"
    text = _BY_OUTCOME[outcome]
    if outcome is Outcome.VACUOUS and message.startswith("not tried"):
        return "Mend what did not pass alone first."
    if outcome is Outcome.VACUOUS and message.startswith("a dependency"):
        return (
            "Nothing was tested, so this is no pass: do not wait for an answer that the contract of"
            " the dependency does not promise, or loosen its post-conditions."
        )
    if outcome is Outcome.REFUTED:
        known = (told for pattern, told in _BY_MESSAGE if pattern.match(message))
        text = next(known, _by_clause(clause) or text)
    return text.replace("{method}", named)


def _by_clause(clause: str | None) -> str:
    if clause is None:
        return ""
    return (
        f"Change {{method}} so that `{clause}` holds here; if the answer is what you want,"
        " change the clause."
    )
