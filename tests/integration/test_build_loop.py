"""The build loop with the real Sheriff and Gauntlet, on real files, for models of every temper."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from embedded_model import embedded_settings
from lattice_lock.agents.build import BuildLimits, BuildRequest, build
from lattice_lock.agents.progress import (
    AttemptStarted,
    BuildReport,
    CandidateRejected,
    MethodFinished,
    MethodReport,
    MethodStarted,
    MethodStatus,
    RejectedBy,
)
from lattice_lock.core.workspace import open_workspace
from lattice_lock.exceptions import (
    AllProvidersFailedError,
    BuildError,
    ProjectBusyError,
    ProviderConnectionError,
    UsageError,
)
from lattice_lock.providers.embedded import EmbeddedClient
from lattice_lock.providers.embedded_models import BUILT_IN_MODEL
from lattice_lock.providers.transport import Transport
from scripted_model import LARGE, SMALL, ScriptedModel

if TYPE_CHECKING:
    from pathlib import Path

    from lattice_lock.agents.progress import BuildEvent
    from lattice_lock.messages import ChatRequest

pytestmark = pytest.mark.sandbox

LATTICE = """\
version: v1.0
generated_module: types_v1
config: {forbidden_imports: [sqlite3]}
interfaces:
  IMath:
    file: src/services/math_service.py
    methods:
      double:
        params: {number: int}
        returns: int
        ensures: ["result == number * 2"]
"""
TRIPLE = """\
      triple:
        params: {number: int}
        returns: int
        ensures: ["result == number * 3"]
"""
DEPENDENT = """\
  IArea:
    file: src/services/area.py
    depends_on: [IMath]
    methods:
      border:
        params: {number: int}
        returns: int
        ensures: ["result == number * 4"]
"""
FILE = "src/services/math_service.py"


def function(body: str, name: str = "double") -> str:
    """A reply with that body."""
    return f"```python\ndef {name}(number):\n    {body}\n```"


RIGHT = function("return number * 2")
WRONG = function("return number + 2")
TRIPLED = function("return number * 3", "triple")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with nothing but a lattice of one method."""
    (tmp_path / "lattice.yaml").write_text(LATTICE)
    return tmp_path


@pytest.fixture
def two_methods(project: Path) -> Path:
    """The same with a second method."""
    (project / "lattice.yaml").write_text(LATTICE + TRIPLE)
    return project


def tree(root: Path) -> dict[str, bytes | None]:
    """Every path below a folder, with the content of files."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
    }


def write_implementation(root: Path, body: str) -> str:
    """Put an implementation into the project, as a person would."""
    text = (
        "from shared.types_v1_interfaces import IMath\n\n\nclass Math(IMath):  # mine\n"
        f"    def double(self, number: int) -> int:\n        {body}\n"
    )
    (root / FILE).parent.mkdir(parents=True, exist_ok=True)
    (root / FILE).write_text(text)
    return text


def drift(root: Path) -> object:
    """What no longer agrees in the project."""
    return open_workspace(root).drift()


async def run(
    root: Path, model: ScriptedModel, *events: list[BuildEvent], **changes: Any
) -> BuildReport:
    """Build with the small model, or as `changes` say."""
    fields: dict[str, Any] = {"path": root, "chat": model, "models": (SMALL,)}
    notify = events[0].append if events else lambda _: None
    return await build(BuildRequest(**(fields | changes)), notify)


async def test_only_the_body_that_passes_everything_is_written(project: Path) -> None:
    """Useless, equal, forbidden and wrong candidates are told apart; the right one is recorded."""
    model = ScriptedModel(
        {
            "small": [
                "I would multiply.",
                WRONG,
                function("return 2 + number"),
                function("return number + 2  # the same, said anew"),
                "import sqlite3\ndef double(number):\n    return sqlite3.x * number\n",
                RIGHT,
            ]
        },
        cost_usd=Decimal("0.001"),
    )
    events: list[BuildEvent] = []
    report = await run(project, model, events)
    (row,) = report.methods
    assert report.complete
    assert (row.status, row.model, row.attempts) == (MethodStatus.ACCEPTED, SMALL, 6)
    assert row.rejections == {
        RejectedBy.PARSE: 1,
        RejectedBy.GAUNTLET: 2,
        RejectedBy.DUPLICATE: 1,
        RejectedBy.SHERIFF: 1,
    }
    assert "`sqlite3`" in row.reason
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (600, 60, Decimal("0.006"))
    assert "        return number * 2\n" in (project / FILE).read_text()
    assert set(report.written) >= {FILE, "lattice.lock", "src/shared/types_v1.py"}
    kinds = [type(event) for event in events]
    attempt = [AttemptStarted, CandidateRejected]
    assert kinds == [MethodStarted, *attempt * 5, AttemptStarted, MethodFinished]
    workspace = await asyncio.to_thread(open_workspace, project)
    assert await asyncio.to_thread(workspace.drift) == ()
    assert workspace.lock is not None
    record = workspace.lock.accepted["IMath.double"]
    assert (record.author, record.model, record.attempts) == ("model", "local/small", 6)
    assert (record.input_tokens, record.output_tokens) == (600, 60)
    assert record.cost_usd == Decimal("0.006")
    assert record.examples > 100
    assert json.loads(json.dumps(report.to_dict()))["methods"][0]["model"] == "local/small"


async def test_seeds_of_acceptance_are_never_those_that_a_model_could_know(project: Path) -> None:
    """Each acceptance draws its own seeds anew, apart from those of the search."""
    seeds: list[int] = []
    for _ in range(2):
        await run(project, ScriptedModel({"small": [WRONG, RIGHT]}))
        lock = (await asyncio.to_thread(open_workspace, project)).lock
        assert lock is not None
        seeds.extend(lock.accepted["IMath.double"].seeds)
        (project / FILE).unlink()
    assert len(seeds) == len(set(seeds)) == 4
    assert min(seeds) > 1000  # the search counts up from 1


async def test_when_nothing_passes_not_one_byte_changes(project: Path) -> None:
    """A build without success leaves a fresh project and a compiled one exactly as they were."""
    for body in (None, "raise NotImplementedError"):
        if body is not None:
            write_implementation(project, body)
        before = tree(project)
        model = ScriptedModel({"small": ["no idea", WRONG]})
        report = await run(project, model, limits=BuildLimits(attempts_per_model=3))
        assert tree(project) == before
        assert not report.complete
        (row,) = report.methods
        assert (row.status, row.attempts, row.model) == (MethodStatus.FAILED, 3, None)
        assert row.rejections[RejectedBy.DUPLICATE] == 1
        assert "result == number * 2" in row.reason  # what the first of the equal ones met
        assert report.written == ()


async def test_a_failure_is_told_to_every_other_attempt(project: Path) -> None:
    """The attempt after a refuted one sees the counterexample; the one after that starts afresh."""
    model = ScriptedModel({"small": [WRONG, function("return 0"), "I am sorry.", RIGHT]})
    await run(project, model)
    prompts = [request.messages[-1].text for request in model.requests["small"]]
    assert "Note: with number=" in prompts[1]
    assert "result == number * 2" in prompts[1].split("Note:")[1]
    assert "Note:" not in prompts[0] + prompts[2]
    assert "Note: the reply holds no Python code" in prompts[3]
    temperatures = [request.temperature or 0.0 for request in model.requests["small"]]
    assert temperatures == sorted(temperatures)
    assert temperatures[0] == 0.0 < temperatures[1]


async def test_the_next_model_is_asked_when_one_is_used_up(project: Path) -> None:
    """Models are asked in order, each for its attempts, and what one tried counts for all."""
    model = ScriptedModel({"small": [WRONG], "large": [WRONG, RIGHT]})
    limits = BuildLimits(attempts_per_model=2)
    report = await run(project, model, models=(SMALL, LARGE), limits=limits)
    (row,) = report.methods
    assert (row.status, row.model, row.attempts) == (MethodStatus.ACCEPTED, LARGE, 4)
    assert row.rejections == {RejectedBy.GAUNTLET: 1, RejectedBy.DUPLICATE: 2}


DEATH = ProviderConnectionError("the process of the model died", provider="local")
DEATHS = {
    "connection": DEATH,
    "all providers": AllProvidersFailedError("nobody answered", [DEATH]),
}


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS.keys())
async def test_a_model_that_dies_is_followed_by_the_next(
    two_methods: Path, death: Exception
) -> None:
    """A failed call is an attempt with its reason, and leads to the next model."""
    model = ScriptedModel({"small": [death], "large": [RIGHT, TRIPLED]})
    events: list[BuildEvent] = []
    report = await run(two_methods, model, events, models=(SMALL, LARGE))
    assert [row.status for row in report.methods] == [MethodStatus.ACCEPTED] * 2
    assert [row.rejections for row in report.methods] == [{RejectedBy.MODEL: 1}] * 2
    reasons = [event.reason for event in events if isinstance(event, CandidateRejected)]
    assert len(reasons) == 2
    assert all("died" in reason for reason in reasons)


async def test_a_model_that_stays_dead_is_not_asked_for_ever(two_methods: Path) -> None:
    """After two failed calls in a row a model is left alone for the rest of the build."""
    lattice = two_methods / "lattice.yaml"
    lattice.write_text(lattice.read_text() + TRIPLE.replace("triple", "treble"))
    model = ScriptedModel({"small": [DEATH]})
    report = await run(two_methods, model)
    assert len(model.requests["small"]) == 2
    assert [row.attempts for row in report.methods] == [1, 1, 0]
    assert "did not answer 2 times" in report.methods[2].reason


async def test_what_passed_is_written_even_if_another_method_failed(two_methods: Path) -> None:
    """A build that is not complete keeps what it achieved and says what is missing."""
    report = await run(two_methods, ScriptedModel({"small": [RIGHT, "no idea"]}))
    assert [row.status for row in report.methods] == [MethodStatus.ACCEPTED, MethodStatus.FAILED]
    assert not report.complete
    text = (two_methods / FILE).read_text()
    assert "return number * 2" in text
    assert text.count("raise NotImplementedError") == 1
    assert await asyncio.to_thread(drift, two_methods) == ()


async def test_an_accepted_body_is_not_built_again(project: Path) -> None:
    """A second build asks nobody and writes nothing, unless it is told to replace."""
    await run(project, ScriptedModel({"small": [RIGHT]}))
    before = tree(project)
    report = await run(project, ScriptedModel({"small": []}))
    assert [row.status for row in report.methods] == [MethodStatus.UP_TO_DATE]
    assert report.complete
    assert tree(project) == before
    again = ScriptedModel({"small": [function("return number + number")]})
    report = await run(project, again, replace_written=True)
    assert [row.status for row in report.methods] == [MethodStatus.ACCEPTED]
    assert "return number + number" in (project / FILE).read_text()


async def test_a_changed_contract_has_a_model_s_body_built_anew(project: Path) -> None:
    """What a model wrote is replaced when the lattice asks for something else."""
    await run(project, ScriptedModel({"small": [RIGHT]}))
    (project / "lattice.yaml").write_text(LATTICE.replace("number * 2", "number * 4"))
    report = await run(project, ScriptedModel({"small": [function("return number * 4")]}))
    assert [row.status for row in report.methods] == [MethodStatus.ACCEPTED]
    assert "return number * 4" in (project / FILE).read_text()
    assert await asyncio.to_thread(drift, project) == ()


async def test_what_a_person_wrote_is_replaced_only_on_demand(project: Path) -> None:
    """Without the demand a person's body stays, right or wrong; with it only the body changes."""
    text = write_implementation(project, "return number + number  # by hand")
    before = tree(project)
    model = ScriptedModel({"small": [RIGHT]})
    report = await run(project, model)
    assert [row.status for row in report.methods] == [MethodStatus.KEPT]
    assert "--replace" in report.methods[0].reason
    assert tree(project) == before
    assert not model.requests
    report = await run(project, model, replace_written=True)
    assert [row.status for row in report.methods] == [MethodStatus.ACCEPTED]
    expected = text.replace("number + number  # by hand", "number * 2")
    assert (project / FILE).read_text() == expected


async def test_an_accepted_body_that_was_edited_is_a_person_s(project: Path) -> None:
    """An edit by hand makes the body a person's, which stays."""
    await run(project, ScriptedModel({"small": [RIGHT]}))
    edited = (project / FILE).read_text().replace("number * 2", "number * 5")
    (project / FILE).write_text(edited)
    report = await run(project, ScriptedModel({"small": [RIGHT]}))
    assert [row.status for row in report.methods] == [MethodStatus.KEPT]
    assert (project / FILE).read_text() == edited


async def test_faults_that_were_there_before_are_not_the_candidate_s(project: Path) -> None:
    """Only what a candidate adds counts against it."""
    text = write_implementation(project, "raise NotImplementedError")
    (project / FILE).write_text("import sqlite3  # somebody's\n" + text)
    report = await run(project, ScriptedModel({"small": [RIGHT]}))
    assert report.complete


async def test_a_body_that_tampers_with_its_neighbour_is_not_written(two_methods: Path) -> None:
    """Bodies that pass alone have to pass together, or none of their interface is written."""
    lattice = two_methods / "lattice.yaml"
    lattice.write_text(lattice.read_text() + DEPENDENT.replace("    depends_on: [IMath]\n", ""))
    tampering = function("type(self).triple = lambda self, number: 0\n    return number * 2")
    border = function("return number * 4", "border")
    report = await run(two_methods, ScriptedModel({"small": [tampering, TRIPLED, border]}))
    assert [row.status for row in report.methods] == [
        MethodStatus.FAILED,
        MethodStatus.FAILED,
        MethodStatus.ACCEPTED,
    ]
    assert "not together" in report.methods[0].reason
    assert (two_methods / FILE).read_text().count("raise NotImplementedError") == 2


async def test_a_cancelled_build_leaves_no_trace(two_methods: Path) -> None:
    """Cancelled after the first success, a build has written nothing and frees the project."""
    reached = asyncio.Event()

    async def never(_: ChatRequest) -> str:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    before = tree(two_methods)
    task = asyncio.create_task(run(two_methods, ScriptedModel({"small": [RIGHT, never]})))
    await reached.wait()
    with pytest.raises(ProjectBusyError):
        await run(two_methods, ScriptedModel({"small": [RIGHT]}))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tree(two_methods) == before
    report = await run(two_methods, ScriptedModel({"small": [RIGHT, TRIPLED]}))
    assert report.complete


async def test_a_file_that_changes_meanwhile_is_not_overwritten(project: Path) -> None:
    """What a person saves while a model thinks is not lost."""
    write_implementation(project, "raise NotImplementedError")

    async def meanwhile(_: ChatRequest) -> str:
        await asyncio.to_thread(write_implementation, project, "return 7")
        return RIGHT

    with pytest.raises(BuildError, match="was changed while the build ran"):
        await run(project, ScriptedModel({"small": [meanwhile]}))
    assert "return 7" in (project / FILE).read_text()
    assert not (project / "lattice.lock").exists()


async def test_the_time_limit_ends_a_call(two_methods: Path) -> None:
    """A model that never answers costs the time that was given, no more."""

    async def never(_: ChatRequest) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    model = ScriptedModel({"small": [never], "large": [RIGHT]})
    limits = BuildLimits(duration_s=0.2)
    report = await run(two_methods, model, models=(SMALL, LARGE), limits=limits)
    assert [row.attempts for row in report.methods] == [1, 0]
    assert all("time limit of 0.2 s" in row.reason for row in report.methods)
    assert report.duration_s < 30


@pytest.mark.parametrize(
    ("cost_usd", "reason"),
    [(Decimal("0.05"), "cost limit of 0.1 USD"), (None, "price of `local/small` is unknown")],
    ids=["known", "unknown"],
)
async def test_the_cost_limit_ends_a_build(
    project: Path, cost_usd: Decimal | None, reason: str
) -> None:
    """No call is made once the limit is reached, or once nobody knows whether it is."""
    model = ScriptedModel({"small": ["no idea"]}, cost_usd=cost_usd)
    report = await run(project, model, limits=BuildLimits(cost_usd=Decimal("0.1")))
    assert len(model.requests["small"]) == (1 if cost_usd is None else 2)
    assert reason in report.methods[0].reason
    assert report.methods[0].cost_usd == (None if cost_usd is None else Decimal("0.10"))


async def test_dependencies_are_built_first_and_used(project: Path) -> None:
    """A body may call what was accepted a moment ago and is not on disk yet."""
    head, interfaces = LATTICE.split("interfaces:\n")
    (project / "lattice.yaml").write_text(f"{head}interfaces:\n{DEPENDENT}{interfaces}")
    uses = "```\ndef border(self, number):\n    return self._math.double(number) * 2\n```"
    report = await run(project, ScriptedModel({"small": [RIGHT, uses]}))
    assert [(row.method, row.status) for row in report.methods] == [
        ("IMath.double", MethodStatus.ACCEPTED),
        ("IArea.border", MethodStatus.ACCEPTED),
    ]


async def test_without_its_dependency_a_method_is_not_asked_for(project: Path) -> None:
    """Nothing is spent on a method whose dependency has no body."""
    (project / "lattice.yaml").write_text(LATTICE + DEPENDENT)
    model = ScriptedModel({"small": ["no idea"]})
    report = await run(project, model, limits=BuildLimits(attempts_per_model=1))
    blocked: MethodReport = report.methods[1]
    assert (blocked.status, blocked.attempts) == (MethodStatus.FAILED, 0)
    assert "`IMath.double`, which has no body" in blocked.reason


@pytest.mark.parametrize("text", ["", "class Math: ...\n", "def broken(:\n"])
async def test_a_file_without_the_method_is_reported(project: Path, text: str) -> None:
    """Where there is no place for a body, nobody is asked for one."""
    write_implementation(project, "pass")
    (project / FILE).write_text(text)
    before = tree(project)
    report = await run(project, ScriptedModel({"small": []}))
    assert f"`{FILE}` has no method `double`" in report.methods[0].reason
    assert tree(project) == before


async def test_a_file_that_is_no_text_is_refused(project: Path) -> None:
    """A file that cannot be read is never written over."""
    write_implementation(project, "pass")
    (project / FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(BuildError, match="is not UTF-8"):
        await run(project, ScriptedModel({"small": [RIGHT]}))


async def test_only_the_methods_that_were_named_are_built(two_methods: Path) -> None:
    """A method or an interface can be named; an unknown name is refused with what there is."""
    report = await run(two_methods, ScriptedModel({"small": [TRIPLED]}), methods=("IMath.triple",))
    assert [row.method for row in report.methods] == ["IMath.triple"]
    report = await run(two_methods, ScriptedModel({"small": [RIGHT]}), methods=("IMath",))
    assert [row.status for row in report.methods] == [
        MethodStatus.ACCEPTED,
        MethodStatus.UP_TO_DATE,
    ]
    with pytest.raises(UsageError, match=r"no `IMath.half`.*IMath\.double, IMath\.triple"):
        await run(two_methods, ScriptedModel({}), methods=("IMath.half",))


async def test_a_build_needs_a_model(project: Path) -> None:
    """Without a model the error says how to name one."""
    with pytest.raises(UsageError, match="--model"):
        await run(project, ScriptedModel({}), models=())


async def test_a_lattice_with_entities_is_all_that_a_build_needs(
    root: Path, tmp_path: Path
) -> None:
    """Types that exist only in memory yet are there for the candidate."""
    lattice = root / "docs/examples/quickstart/lattice.yaml"
    (tmp_path / "lattice.yaml").write_bytes(lattice.read_bytes())
    reply = (
        "def order_total(lines):\n    return sum(one.unit_price * one.quantity for one in lines)"
    )
    model = ScriptedModel({"small": [reply]})
    report = await run(tmp_path, model, methods=("IPricingService.order_total",))
    assert [row.status for row in report.methods] == [MethodStatus.ACCEPTED]


@pytest.mark.embedded
async def test_the_embedded_model_writes_a_verified_method(
    root: Path, tmp_path: Path, embedded_data_dir: Path
) -> None:
    """A real model of 135 million parameters writes a method of the quickstart."""
    lattice = root / "docs/examples/quickstart/lattice.yaml"
    (tmp_path / "lattice.yaml").write_bytes(lattice.read_bytes())
    settings = embedded_settings(embedded_data_dir)
    async with Transport(settings) as transport:
        client = EmbeddedClient(settings, transport)
        try:
            request = BuildRequest(
                path=tmp_path,
                chat=client,
                models=(BUILT_IN_MODEL,),
                methods=("IPricingService.loyalty_points",),
            )
            report = await build(request, lambda _: None)
        finally:
            await client.aclose()
    (row,) = report.methods
    assert row.status is MethodStatus.ACCEPTED
    assert row.output_tokens > 0
    assert await asyncio.to_thread(drift, tmp_path) == ()
