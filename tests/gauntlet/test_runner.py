"""The runner from the outside: real processes, real sandbox, real verdicts."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lattice_lock.exceptions import JudgeError, SandboxUnavailableError
from lattice_lock.gauntlet.runner import Limits, run_contracts
from lattice_lock.gauntlet.verdict import Outcome

from .conftest import CONTRACT, EXPECTED, RIGHT, module_with, request_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Try

RIGHT_MODULE = module_with({"line_total": RIGHT})

HEAD = CONTRACT[: CONTRACT.index("@settings")]


async def test_a_right_body_passes(try_body: Try) -> None:
    """A body that keeps its contract passes, with every example counted."""
    verdict = await try_body(RIGHT)
    assert (verdict.outcome, verdict.message) == (Outcome.PASSED, "")
    assert verdict.examples >= 10


async def test_a_wrong_body_is_refuted_with_the_smallest_input(try_body: Try) -> None:
    """A wrong body is refuted with clause, shrunk input and the values that disagree."""
    verdict = await try_body("return line.price * line.quantity + (line.quantity > 6)")
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.clause == "interfaces.IPricingService.methods.line_total.ensures[0]"
    assert verdict.counterexample is not None
    assert "OrderLine(price=Decimal('0.01'), quantity=7," in verdict.counterexample
    assert "Decimal('1.07')" in verdict.message
    assert verdict.suggestion == (
        "Change `line_total` so that `interfaces.IPricingService.methods.line_total.ensures[0]`"
        " holds here; if the answer is what you want, change the clause."
    )


async def test_an_error_of_the_body_is_shown_with_its_line(try_body: Try) -> None:
    """An exception that the contract does not declare is refuted with type, message and line."""
    verdict = await try_body("return line.price / 0")
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.message.startswith("raised DivisionByZero: ")
    assert "services/pricing_service.py:7 in line_total: return line.price / 0" in verdict.message


async def test_different_answers_to_the_same_input_are_refuted(try_body: Try) -> None:
    """A body that is right at times and wrong at others is refuted as that."""
    verdict = await try_body(
        "COUNT.append(1)\nreturn line.price * line.quantity + (len(COUNT) == 5)",
        preamble="COUNT = []",
    )
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.message == "gave different answers to the same input"


async def test_a_report_is_json(source_root: Path) -> None:
    """A report survives JSON and says whether everything passed."""
    report = await run_contracts(request_for(source_root, RIGHT_MODULE, seed=7))
    data = json.loads(json.dumps(report.to_dict()))
    assert (data["passed"], data["outcome"], data["seed"]) == (True, "passed", 7)
    assert data["verdicts"][0]["outcome"] == "passed"
    assert "seccomp" in data["sandbox"]
    assert data["duration_s"] > 0


async def test_the_same_seed_finds_the_same_input(source_root: Path) -> None:
    """Two runs with one seed agree in everything but their duration."""
    module = module_with({"line_total": "return sum([line.price] * (line.quantity % 600))"})
    request = request_for(source_root, module, max_examples=50)
    first, second = await asyncio.gather(run_contracts(request), run_contracts(request))
    assert first.verdicts == second.verdicts
    assert first.verdicts[0].outcome is Outcome.REFUTED


async def test_a_test_that_is_not_there_has_not_passed(source_root: Path) -> None:
    """An expected test that the contract file lacks is an error, and nothing has passed."""
    request = request_for(
        source_root, RIGHT_MODULE, expected=(*EXPECTED, ("test_other", "line_total"))
    )
    report = await run_contracts(request)
    assert [verdict.outcome for verdict in report.verdicts] == [Outcome.PASSED, Outcome.ERROR]
    assert report.verdicts[1].message == "the contract file has no such test"
    assert not report.passed


async def test_a_report_without_tests_has_not_passed(source_root: Path) -> None:
    """Selecting methods without tests gives a report that has not passed."""
    request = dataclasses.replace(request_for(source_root, RIGHT_MODULE), methods=("other",))
    report = await run_contracts(request)
    assert (report.verdicts, report.passed) == ((), False)


async def test_only_selected_methods_are_judged(source_root: Path) -> None:
    """`methods` leaves out the tests of other methods."""
    contract = HEAD + "".join(
        f"""
def test_{name}():
    assert PricingService().{name}() == 1
"""
        for name in ("one", "two")
    )
    module = "class PricingService:\n    def one(self): return 1\n    def two(self): return 2\n"
    request = request_for(
        source_root,
        module,
        contract=contract,
        expected=(("test_one", "one"), ("test_two", "two")),
    )
    all_methods = await run_contracts(request)
    assert [verdict.outcome for verdict in all_methods.verdicts] == [
        Outcome.PASSED,
        Outcome.REFUTED,
    ]
    one = await run_contracts(dataclasses.replace(request, methods=("one",)))
    assert ([verdict.test for verdict in one.verdicts], one.passed) == (["test_one"], True)


PROVES_NOTHING = {
    "skipped": ("@pytest.mark.skip", "call()", Outcome.ERROR, "marked `skip`"),
    "expected_to_fail": ("@pytest.mark.xfail", "call()", Outcome.ERROR, "marked `xfail`"),
    "skips_itself": ("", "call(); pytest.skip('no')", Outcome.ERROR, "Skipped: no"),
    "calls_nothing": ("", "pass", Outcome.VACUOUS, "no example called `line_total`"),
    "calls_another": ("", "PricingService().other()", Outcome.VACUOUS, "no example called"),
    "unsatisfiable": ("@given(st.just(1))", "assume(False)", Outcome.VACUOUS, "hardly any input"),
    "filters_too_much": (
        "@given(st.integers(0, 10**6))",
        "assume(n % 1000 == 7); call()",
        Outcome.VACUOUS,
        "hardly any input satisfies the precondition",
    ),
    "broken": ("", "undefined", Outcome.ERROR, "NameError"),
    "unknown_fixture": ("@pytest.mark.usefixtures('nowhere')", "call()", Outcome.ERROR, "nowhere"),
    "passes_a_function": (
        "",
        "PricingService().line_total(print)",
        Outcome.ERROR,
        "the test passes a `builtin_function_or_method`",
    ),
    "one_case_fails": (
        "@pytest.mark.parametrize('n', [1, 2, 3])",
        "call(); assert n != 2, 'two'",
        Outcome.REFUTED,
        "two",
    ),
}


async def test_a_test_that_proves_nothing_has_not_passed(source_root: Path) -> None:
    """Skipping, marking, filtering everything or calling nothing is never a pass."""
    contract = f"import pytest\nfrom hypothesis import assume\n{HEAD}\n"
    contract += "def call(): PricingService().line_total(OrderLine(price=Decimal(1), quantity=1))\n"
    for name, (decorator, body, _, _) in PROVES_NOTHING.items():
        parameter = "n" if decorator.startswith(("@given", "@pytest.mark.parametrize")) else ""
        contract += f"\n{decorator}\ndef test_{name}({parameter}): {body}\n"
    module = f"{RIGHT_MODULE}\n    def other(self): return 1\n"
    expected = tuple((f"test_{name}", "line_total") for name in PROVES_NOTHING)
    report = await run_contracts(
        request_for(source_root, module, contract=contract, expected=expected)
    )
    assert not report.passed
    for verdict in report.verdicts:
        _, _, outcome, message = PROVES_NOTHING[verdict.test.removeprefix("test_")]
        assert (verdict.test, verdict.outcome) == (verdict.test, outcome)
        assert message in verdict.message


async def test_a_contract_file_that_does_not_load_has_not_passed(source_root: Path) -> None:
    """A contract file that cannot be collected is an error that says why."""
    report = await run_contracts(
        request_for(source_root, RIGHT_MODULE, contract="import nothing_like_this\n")
    )
    assert report.verdicts[0].outcome is Outcome.ERROR
    assert "nothing_like_this" in report.verdicts[0].message


async def test_a_test_that_nobody_expects_is_an_error_of_ours(source_root: Path) -> None:
    """A contract file with more tests than expected stops the run: somebody lost track."""
    with pytest.raises(JudgeError, match="test_more"):
        await run_contracts(
            request_for(source_root, RIGHT_MODULE, contract=f"{CONTRACT}\ndef test_more(): pass\n")
        )


async def test_declared_errors_arrive_as_the_builtin_type(source_root: Path) -> None:
    """A test can expect an error that the implementation raises, subclasses included."""
    contract = f"""{HEAD}
import pytest

@given(line=ORDER_LINES)
def test_line_total_raises_value_error(line: OrderLine) -> None:
    with pytest.raises(ValueError, match="too much"):
        PricingService().line_total(line)
"""
    expected = (("test_line_total_raises_value_error", "line_total"),)
    body = "class TooMuch(ValueError): pass\nraise TooMuch('too much')"
    for text, outcome in [(body, Outcome.PASSED), (RIGHT, Outcome.REFUTED)]:
        module = module_with({"line_total": text})
        report = await run_contracts(
            request_for(source_root, module, contract=contract, expected=expected)
        )
        assert report.verdicts[0].outcome is outcome


async def test_an_unusual_builtin_error_arrives_as_itself(source_root: Path) -> None:
    """Errors whose constructor wants more than a message cross the process border too."""
    names = ["UnicodeDecodeError", "UnicodeEncodeError", "KeyError", "FileNotFoundError"]
    contract = f"{HEAD}\nimport pytest\n" + "".join(
        f"""
def test_{name}():
    with pytest.raises({name}) as caught:
        PricingService().{name}()
    assert type(caught.value) is {name}
"""
        for name in (*names, "ExceptionGroup")
    )
    module = (
        "class PricingService:\n"
        "    def UnicodeDecodeError(self): b'\\xff'.decode()\n"
        "    def UnicodeEncodeError(self): '\\ud800'.encode()\n"
        "    def KeyError(self): {}['missing']\n"
        "    def FileNotFoundError(self): raise FileNotFoundError('gone')\n"
        "    def ExceptionGroup(self): raise ExceptionGroup('many', [ValueError('one')])\n"
    )
    report = await run_contracts(
        request_for(
            source_root,
            module,
            contract=contract,
            expected=tuple((f"test_{name}", name) for name in (*names, "ExceptionGroup")),
        )
    )
    assert [verdict.message for verdict in report.verdicts] == [""] * 5


async def test_arguments_arrive_in_the_state_in_which_they_were_left(source_root: Path) -> None:
    """What a method does to a list that it was given is seen by the test, in the same objects."""
    contract = f"""{HEAD}
def test_sort():
    inner = [3, 1, 2]
    outer = {{"a": inner, "b": {{1, 2}}}}
    PricingService().sort(outer)
    assert inner == [1, 2, 3]
    assert outer == {{"a": inner, "b": {{2, 3}}}} and outer["a"] is inner
"""
    module = (
        "class PricingService:\n"
        "    def sort(self, outer):\n"
        "        outer['a'].sort(); outer['b'].remove(1); outer['b'].add(3)\n"
    )
    report = await run_contracts(
        request_for(source_root, module, contract=contract, expected=(("test_sort", "sort"),))
    )
    assert report.verdicts[0].message == ""
    assert report.passed


async def test_an_immutable_entity_cannot_be_changed_into_agreement(try_body: Try) -> None:
    """Changing the input so that a wrong answer fits is refuted."""
    verdict = await try_body("line.__dict__['price'] = Decimal(0)\nreturn Decimal(0)")
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.message.startswith("changed an argument that is immutable: OrderLine(")


async def test_collaborators_come_from_the_project(source_root: Path) -> None:
    """An object of another implementation module, read from disk, is passed to a constructor."""
    services = source_root / "services"
    services.mkdir()
    (services / "__init__.py").touch()
    (services / "rates.py").write_text("class Rates:\n    def rate(self): return 3\n")
    module = (
        "class PricingService:\n"
        "    def __init__(self, *, rates): self._rates = rates\n"
        "    def tripled(self, n): return n * self._rates.rate()\n"
    )
    contract = """
from hypothesis import given, strategies as st
from services.pricing_service import PricingService
from services.rates import Rates

@given(st.integers())
def test_tripled(n):
    assert PricingService(rates=Rates()).tripled(n) == 3 * n
"""
    request = dataclasses.replace(
        request_for(
            source_root, module, contract=contract, expected=(("test_tripled", "tripled"),)
        ),
        implementation_modules=("services.pricing_service", "services.rates"),
    )
    report = await run_contracts(request)
    assert report.verdicts[0].message == ""
    assert report.passed


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("class Other: pass", "`services.pricing_service` has no class `PricingService`"),
        ("class PricingService: pass", "`PricingService` has no method `line_total`"),
        ("class PricingService:\n    def line_total(self): return 1", "raised TypeError"),
    ],
    ids=["class", "method", "parameters"],
)
async def test_a_missing_implementation_is_refuted(
    source_root: Path, module: str, message: str
) -> None:
    """A class, method or parameter that is not there is refuted by name."""
    report = await run_contracts(request_for(source_root, module))
    assert report.verdicts[0].outcome is Outcome.REFUTED
    assert message in report.verdicts[0].message


async def test_all_tests_together_have_a_deadline(source_root: Path) -> None:
    """Running out of time for all tests together is an error, neither a pass nor a refutation."""
    module = module_with({"line_total": f"import time; time.sleep(0.2)\n{RIGHT}"})
    report = await run_contracts(
        request_for(source_root, module, limits=Limits(total_timeout_s=2), max_examples=100)
    )
    assert report.verdicts[0].outcome is report.outcome is Outcome.ERROR
    assert report.verdicts[0].suggestion
    assert "the time for all tests together has run out" in report.verdicts[0].message
    assert report.duration_s < 10


def test_a_module_cannot_be_trusted_and_on_trial(source_root: Path) -> None:
    """The judge would import such a module, so the request is refused."""
    request = request_for(source_root, RIGHT_MODULE)
    with pytest.raises(ValueError, match="both trusted and on trial"):
        dataclasses.replace(request, implementation_modules=("shared.types_v1",))
    with pytest.raises(ValueError, match="without text"):
        dataclasses.replace(request, modules={})


async def test_a_source_root_around_the_home_folder_is_refused(source_root: Path) -> None:
    """Sources that contain the home folder cannot be opened to untrusted code."""
    request = dataclasses.replace(
        request_for(source_root, RIGHT_MODULE), source_root=Path.home().parent
    )
    with pytest.raises(SandboxUnavailableError, match="contains the home folder"):
        await run_contracts(request)


def _group_of_judge(folder: Path) -> int | None:
    """Process group of the judge whose private folder is below `folder`."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"TMPDIR={folder}".encode() in (process / "environ").read_bytes():
                return int(process.name)
    return None


def _members(group: int) -> list[str]:
    """Names of the live processes in a process group."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name, _, rest = (process / "stat").read_text().rpartition(")")
            state, _parent, process_group, *_ = rest.split()
            if int(process_group) == group and state != "Z":
                found.append(name)
    return found


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # other processes make it true, and tell nobody
            await asyncio.sleep(0.01)


async def test_cancelling_leaves_nothing_behind(
    source_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancelled run ends judge and worker and removes its folder."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    module = module_with({"line_total": "import time; time.sleep(600)"})
    limits = Limits(call_timeout_s=600, total_timeout_s=600)
    run = asyncio.create_task(run_contracts(request_for(source_root, module, limits=limits)))
    await _until(lambda: any(temporary.glob("*/test_*.py")))
    group = _group_of_judge(temporary)
    assert group is not None
    assert len(_members(group)) >= 2
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert list(temporary.iterdir()) == []
    await _until(lambda: not _members(group))


async def test_a_killed_caller_takes_judge_and_worker_along(
    source_root: Path, tmp_path: Path
) -> None:
    """When the calling process is killed, its judge ends the worker, itself, and its folder."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    module = module_with({"line_total": "import time; time.sleep(600)"})
    request = request_for(source_root, module)
    fields = {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}
    fields |= {"limits": Limits(call_timeout_s=600, total_timeout_s=600)}
    program = (
        "import asyncio\nfrom pathlib import Path, PosixPath\n"
        "from lattice_lock.gauntlet.runner import GauntletRequest, Limits, run_contracts\n"
        f"asyncio.run(run_contracts(GauntletRequest(**{fields!r})))\n"
    )
    caller = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env={**os.environ, "TMPDIR": str(temporary)}
    )
    await _until(lambda: any(temporary.glob("*/test_*.py")))
    group = _group_of_judge(temporary)
    assert group is not None
    caller.kill()
    await caller.wait()
    await _until(lambda: not _members(group) and not list(temporary.iterdir()))
