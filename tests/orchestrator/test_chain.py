"""Chains: what may be written, in which order it runs, and what outlives a run that ends early."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pickle
import re
import stat
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_lock.exceptions import (
    BudgetExceededError,
    ChainError,
    InvalidRequestError,
    LatticeLockError,
    ProviderTimeoutError,
    RateLimitError,
    UsageError,
)
from lattice_lock.messages import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    Message,
    ModelId,
    Role,
    Usage,
)
from lattice_lock.orchestrator._chain_state import _State, _StateFile
from lattice_lock.orchestrator._templates import Reference, Template, split_template
from lattice_lock.orchestrator.budget import Budget
from lattice_lock.orchestrator.chain import (
    Chain,
    ChainEvent,
    ChainResult,
    ChainStepError,
    StepAnswered,
    StepAsked,
    load_chain,
    parse_chain,
    ready_chains,
    run_chain,
)
from lattice_lock.orchestrator.completing import AUTO, Strategy
from lattice_lock.orchestrator.tasks import TaskType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hypothesis.strategies import DrawFn

CENT = Decimal("0.01")
CHOSEN = ModelId(provider="local", name="chosen")

PANEL = """\
name: panel
inputs: {topic: }
steps:
  - id: plan
    prompt: "plan {{ inputs.topic }}"
    response_schema:
      type: object
      properties:
        points: {type: array, items: {type: object, properties: {title: {type: string}}}}
        note: {type: string}
      required: [points]
  - id: write
    for_each: plan.points
    concurrency: 2
    prompt: "write {{ item.title }}"
  - id: join
    prompt: "join {{ write }} for {{ inputs.topic }}"
"""
POINTS = '{"points": [{"title": "a"}, {"title": "b"}, {"title": "c"}]}'


def chain_of(*steps: str, **more: str) -> Chain:
    """A chain of flow mappings without their braces."""
    lines = ["name: test", *(f"{key}: {value}" for key, value in more.items()), "steps:"]
    return parse_chain("\n".join([*lines, *(f"- {{{step}}}" for step in steps)]), file="c.yaml")


def response(text: str, **changes: Any) -> ChatResponse:
    """An answer that costs a cent and five tokens."""
    fields: dict[str, Any] = {
        "model": CHOSEN,
        "message": Message.assistant(text),
        "finish_reason": FinishReason.STOP,
        "usage": Usage(input_tokens=3, output_tokens=2),
        "cost_usd": CENT,
        "latency_ms": 7.0,
    }
    return ChatResponse(**(fields | changes))


class Models:
    """Answers a prompt by its first word: a text, a response, an error, or a callable's result."""

    def __init__(self, **script: Any) -> None:
        self.script = script
        self.requests: list[ChatRequest] = []
        self.routings: list[tuple[TaskType | None, Strategy | None]] = []
        self.running = 0
        self.most_running = 0

    @property
    def prompts(self) -> list[str]:
        """What was asked, in this order."""
        return [request.messages[-1].text for request in self.requests]

    async def complete(
        self,
        request: ChatRequest,
        *,
        task_type: TaskType | None = None,
        strategy: Strategy | None = None,
        budget: Budget | None = None,
    ) -> ChatResponse:
        """The answer of the script; what it does not know is answered with the prompt in brackets.

        A call holds two cents of its budget, which are gone if it runs out of time.
        """
        self.requests.append(request)
        self.routings.append((task_type, strategy))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        prompt = request.messages[-1].text
        try:
            with budget.hold(2 * CENT) if budget else contextlib.nullcontext() as hold:
                await asyncio.sleep(0)
                answer = self.script.get(re.split(r"\W", prompt)[0], f"[{prompt}]")
                if callable(answer):
                    answer = await answer(request)
                if isinstance(answer, BaseException):
                    if hold is not None and isinstance(answer, ProviderTimeoutError):
                        hold.settle(None)
                    raise answer
                if isinstance(answer, str):
                    answer = response(answer)
                assert isinstance(answer, ChatResponse)
                if hold is not None:
                    hold.settle(answer.cost_usd)
                return answer
        finally:
            self.running -= 1


async def never(_request: ChatRequest) -> str:
    """An answer that does not come."""
    await asyncio.Event().wait()
    raise AssertionError


def busy() -> RateLimitError:
    """A provider that refuses."""
    return RateLimitError("Slow down.", provider="local", hint="Wait.")


# Reading


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", "1:1", "The chain is empty"),
        ("# a comment\n", "1:1", "The chain is empty"),
        ("[]", "1:1", "must be a mapping"),
        ("a: b: c", "1:5", "not YAML"),
        ("steps: []\nname: x", "1:8", "no steps"),
        ("name: x", "1:1", "no steps"),
        ("name: x\nsteps: 3", "2:8", "must be a list"),
        ("name: x\nname: y\nsteps: []", "2:1", "second time"),
        ("name: x\nstepz: []", "2:1", "Did you mean `steps`?"),
        ("name: 3\nsteps: [{id: a, prompt: p}]", "1:7", "must be text"),
        ("steps: [{id: a, prompt: p}]", "1:1", "no `name`"),
        ("name: x\nsteps: [3]", "2:9", "A step must be a mapping"),
        ("name: x\nsteps: [{prompt: p}]", "2:9", "no `id`"),
        ("name: x\nsteps: [{id: a}]", "2:9", "no `prompt`"),
        ("name: x\nsteps: [{id: a, prompt: 3}]", "2:25", "must be text"),
        ("name: x\nsteps: [{id: a, prompt: p, system: []}]", "2:36", "must be text"),
        ("name: x\nsteps: [{id: a b, prompt: p}]", "2:14", "cannot name a step"),
        ("name: x\nsteps: [{id: item, prompt: p}]", "2:14", "cannot name a step"),
        ("name: x\nsteps: [{id: a, promt: p, prompt: p}]", "2:17", "Did you mean `prompt`?"),
        ("name: x\nsteps:\n- {id: a, prompt: p}\n- {id: a, prompt: q}", "4:8", "is at line 3"),
        ("name: x\nsteps: [{id: a, prompt: p, model: gpt}]", "2:35", "which provider"),
        ("name: x\nsteps: [{id: a, prompt: p, task_type: cook}]", "2:39", "not a `task_type`"),
        ("name: x\nsteps: [{id: a, prompt: p, strategy: costs}]", "2:38", "Did you mean `cost`?"),
        (
            "name: x\nsteps: [{id: a, prompt: p, model: a/b, strategy: cost}]",
            "2:40",
            "Remove one of the two",
        ),
        ("name: x\nsteps: [{id: a, prompt: p, temperature: -1}]", "2:41", "from 0 up"),
        ("name: x\nsteps: [{id: a, prompt: p, temperature: true}]", "2:41", "from 0 up"),
        ("name: x\nsteps: [{id: a, prompt: p, max_output_tokens: 0}]", "2:47", "from 1 up"),
        ("name: x\nsteps: [{id: a, prompt: p, max_output_tokens: 1.5}]", "2:47", "from 1 up"),
        ("name: x\nsteps: [{id: a, prompt: p, concurrency: 2}]", "2:28", "no `for_each`"),
        ("name: x\nsteps: [{id: a, prompt: p, response_schema: 3}]", "2:45", "a JSON Schema"),
        (
            "name: x\nsteps: [{id: a, prompt: p, response_schema: {type: [objet]}}]",
            "2:52",
            "`$.type` breaks",
        ),
        ("name: x\ninputs: [a]\nsteps: [{id: a, prompt: p}]", "2:9", "must be a mapping"),
        ("name: x\ninputs: {a: []}\nsteps: [{id: a, prompt: p}]", "2:13", "must be text"),
        ("name: x\ninputs: {a b: }\nsteps: [{id: a, prompt: p}]", "2:10", "cannot name an input"),
        ("name: x\noutput: b\nsteps: [{id: a, prompt: p}]", "2:9", "which does not exist"),
        ("name: x\nsteps: [{id: abc, prompt: p, after: [abd]}]", "2:38", "Did you mean `abc`?"),
        ("name: x\nsteps: [{id: a, prompt: p, after: b}]", "2:35", "must be a list"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, place: str, said: str) -> None:
    """A chain that cannot be one is refused with file, line, column and what is wrong."""
    with pytest.raises(ChainError) as caught:
        parse_chain(text, file="c.yaml")
    lines = [line for line in caught.value.message.splitlines() if said in line]
    assert lines, caught.value.message
    assert lines[0].startswith(f"c.yaml:{place}: ")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("topic", "There is no step `topic`. Write `inputs.topic`."),
        ("plna", "There is no step `plna`. Did you mean `plan`?"),
        ("plan.pionts", "`plan` has no field `pionts`. Did you mean `points`?"),
        ("plan.points.title", "`plan.points` is a list and has no field `title`. Use the whole"),
        ("plan.note.x", "`plan.note` is text and has no field `x`."),
        ("write.title", "`write` is a list and has no field `title`."),
        ("join.title", "`join` is text and has no field `title`. An answer has fields if"),
        ("inputs", "`inputs` alone is no text."),
        ("inputs.topik", "`inputs` has no field `topik`. Did you mean `topic`?"),
        ("item", "There is no `item`, because the step has no `for_each`."),
        ("", "Between `{{` and `}}` must stand one name"),
        ("plan . note", "Between `{{` and `}}` must stand one name"),
        ("plan[0]", "Between `{{` and `}}` must stand one name"),
    ],
)
def test_reference_that_means_nothing_is_refused(reference: str, said: str) -> None:
    """What no value can come of is found before anything is asked, and the nearest name is said."""
    text = f"{PANEL}  - id: other\n    prompt: |\n      Now\n      use {{{{ {reference} }}}}.\n"
    with pytest.raises(ChainError) as caught:
        parse_chain(text, file="c.yaml")
    line = text[: text.index("      use")].count("\n") + 1
    assert caught.value.message.startswith(f"c.yaml:{line}:11: {said}")


@pytest.mark.parametrize(
    ("for_each", "said"),
    [
        ("plan", "needs a list, and `plan` is an object"),
        ("plan.note", "needs a list, and `plan.note` is text"),
        ("join", "needs a list, and `join` is text"),
        ("inputs.topic", "must name a list in the answer of a step"),
        ('"{{ plan.points }}"', "Write the list without braces"),
        ("pla", "Did you mean `plan`?"),
        ("[plan.points]", "must be text, this is a list"),
    ],
)
def test_only_a_list_has_items(for_each: str, said: str) -> None:
    """`for_each` of what is no list is refused, and is the only thing that is."""
    text = f"{PANEL}  - id: other\n    for_each: {for_each}\n    prompt: '{{{{ item }}}}'\n"
    with pytest.raises(ChainError) as caught:
        parse_chain(text, file="c.yaml")
    (line,) = caught.value.message.splitlines()
    assert line.startswith(f"c.yaml:{text[: text.index(' other')].count(chr(10)) + 2}:")
    assert said in line


@pytest.mark.parametrize(
    "schema",
    [
        "{}",
        "{type: object}",
        "{type: object, properties: {a: {}}, additionalProperties: true}",
        "{properties: {a: {}}, allOf: [{properties: {b: {}}}]}",
        "{type: [object, string]}",
        "{properties: {b: true}}",
    ],
)
def test_what_a_schema_leaves_open_is_allowed(schema: str) -> None:
    """A field that the schema does not rule out may be named, and so may what is in it."""
    chain = chain_of(
        f"id: a, prompt: p, response_schema: {schema}",
        'id: b, prompt: "{{ a.b.c }}", for_each: a.b',
    )
    assert [step.needs for step in chain.steps] == [(), ("a",)]


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ("prompt: |\n      ok {{ a }}\n        {{ x }}", "5:9"),
        ("prompt: >-\n      {{ a }}\n\n      {{ x }}", "6:7"),
        ("prompt: one\n      {{ x }}", "4:7"),
        ("prompt: 'it''s {{ x }}'", "3:20"),
        ('prompt: "\\t{{{{ {{ x }}"', "3:21"),
        ('prompt: "\\x7b{ a {{ x }}"', "3:13"),  # braces in disguise: the text as a whole
        ("prompt: |  # {{ a }}\n      {{ x }}", "3:13"),
    ],
)
def test_place_in_a_prompt_is_exact(lines: str, place: str) -> None:
    """However a prompt is written, the two braces themselves are pointed at."""
    text = f"name: x\nsteps:\n  - {lines}\n    id: a\n    after: []\n".replace(
        "- prompt", "- prompt"
    )
    with pytest.raises(ChainError) as caught:
        parse_chain(text, file="c.yaml")
    assert f"c.yaml:{place}: There is no step `x`" in caught.value.message


def test_everything_wrong_is_said_at_once() -> None:
    """Problems are listed in the order of the file."""
    with pytest.raises(ChainError) as caught:
        chain_of('id: a, prompt: "{{ x }}", temperature: -1', 'id: b, prompt: "{{ y }}"')
    places = re.findall(r"^c\.yaml:(\d+):(\d+)", caught.value.message, flags=re.MULTILINE)
    assert [line for line, _ in places] == ["3", "3", "4"]


@pytest.mark.parametrize(
    ("steps", "cycle"),
    [
        (('id: a, prompt: "{{ a }}"',), "a -> a"),
        (('id: a, prompt: "{{ b }}"', 'id: b, prompt: "{{ a }}"'), "a -> b -> a"),
        (
            (
                'id: x, prompt: "{{ c }}"',
                'id: a, system: "{{ b }}", prompt: p',
                "id: b, prompt: p, after: [c]",
                'id: c, prompt: "{{ a }}"',
            ),
            "a -> b -> c -> a",
        ),
        (("id: a, prompt: p, for_each: a",), "a -> a"),
    ],
)
def test_cycle_is_refused_and_drawn(steps: Sequence[str], cycle: str) -> None:
    """Steps that wait for one another are refused, by whatever they need each other."""
    with pytest.raises(ChainError, match=f"`{cycle}`"):
        chain_of(*steps)


def test_cannot_be_read() -> None:
    """A file that is not there is refused with the names of the ready chains."""
    with pytest.raises(ChainError) as caught:
        load_chain("nowhere.yaml")
    assert "`nowhere.yaml` cannot be read: No such file" in caught.value.message
    assert caught.value.hint is not None
    assert "`draft-then-refine`" in caught.value.hint
    with pytest.raises(ChainError, match="cannot be read"):
        load_chain("a\0b")


@given(
    st.text()
    | st.binary()
    | st.builds("name: x\nsteps: [{id: a, prompt: {}}]".replace, st.just("{}"), st.text())
)
def test_only_chain_errors(text: str | bytes) -> None:
    """Whatever stands in a file, it is a chain or a `ChainError`."""
    with contextlib.suppress(ChainError):
        assert isinstance(parse_chain(text, file="c.yaml"), Chain)


@given(st.lists(st.sampled_from(PANEL.splitlines(keepends=True)), max_size=20), st.integers(0, 400))
def test_only_chain_errors_near_a_chain(lines: list[str], cut: int) -> None:
    """Mixed up or cut off, the lines of a chain are a chain or a `ChainError`."""
    for text in ("".join(lines), PANEL[:cut] + "".join(lines)):
        with contextlib.suppress(ChainError):
            assert isinstance(parse_chain(text, file="c.yaml"), Chain)


def test_many_references_are_read_in_linear_time() -> None:
    """A prompt of nothing but references is read at once, wrong or not."""
    text = f'name: x\nsteps: [{{id: a, prompt: "{"{{b}}" * 100_000}"}}]'
    with pytest.raises(ChainError, match="There may be more"):
        parse_chain(text, file="c.yaml")


# Templates


@given(
    st.lists(
        st.text(alphabet="ab{}. \n") | st.sampled_from([Reference("x"), Reference("y", ("z",))])
    )
)
def test_template_is_taken_apart_without_loss(parts: list[str | Reference]) -> None:
    """Texts and references that were put together come out again, braces included."""
    text = "".join(
        f"{{{{ {part} }}}}"
        if isinstance(part, Reference)
        else part.replace("{", "").replace("}", "")
        for part in parts
    )
    again = [part for _, part in split_template(text)]
    assert [part for part in again if isinstance(part, Reference)] == [
        part for part in parts if isinstance(part, Reference)
    ]
    rendered = Template(tuple(part for part in again if part is not None)).render(
        lambda name: f"{{{{ {name} }}}}"
    )
    assert rendered == text


@given(st.text(alphabet="ab{}. \n"))
def test_parts_stand_where_they_say(text: str) -> None:
    """Offsets rise and each part begins at its own."""
    offsets = [offset for offset, _ in split_template(text)]
    assert offsets == sorted(set(offsets))
    for offset, part in split_template(text):
        is_text = isinstance(part, str) and part != "{{"
        assert text.startswith(part if isinstance(part, str) and is_text else "{{", offset)


async def test_answers_are_never_templates() -> None:
    """Braces in an input or an answer stay text, wherever they are put in."""
    chain = chain_of(
        'id: a, prompt: "a {{{{ x }} {{ inputs.i }}"',
        'id: b, prompt: "b {{ a }}", system: "{{ inputs.i }}"',
        inputs="{i: , secret: S}",
    )
    models = Models(a="{{ inputs.secret }} {{{{ {{ a }}")
    result = await run_chain(models, chain, {"i": "{{ inputs.secret }}{{ b }}"})
    assert models.prompts == [
        "a {{ x }} {{ inputs.secret }}{{ b }}",
        "b {{ inputs.secret }} {{{{ {{ a }}",
    ]
    assert models.requests[1].messages[0] == Message.system("{{ inputs.secret }}{{ b }}")
    assert result.output == "[b {{ inputs.secret }} {{{{ {{ a }}]"


# Running


@st.composite
def plans(draw: DrawFn) -> dict[str, tuple[str, ...]]:
    """Steps in any order, each with what it needs; there is no cycle."""
    count = draw(st.integers(1, 7))
    names = [f"s{number}" for number in range(count)]
    needs = {
        name: tuple(draw(st.sets(st.sampled_from(names[:number])))) if number else ()
        for number, name in enumerate(names)
    }
    return {name: needs[name] for name in draw(st.permutations(names))}


def planned(needs: Mapping[str, Sequence[str]], fan_out: frozenset[str] = frozenset()) -> Chain:
    """The chain of a plan: odd needs by `after`, even ones by a template; some steps fan out."""
    steps = []
    for name, before in needs.items():
        used = " ".join(f"{{{{ {one} }}}}" for one in before[::2])
        step = f'id: {name}, prompt: "{name} {used}", after: [{", ".join(before[1::2])}]'
        lists = [one for one in before if one not in fan_out]
        if name in fan_out and lists:
            step = step.replace("after: [", f"for_each: {lists[0]}, after: [")
        steps.append(f"{step}, response_schema: {{}}")
    return chain_of(*steps)


@settings(deadline=None)
@given(plans())
def test_each_step_runs_once_and_after_what_it_needs(needs: dict[str, tuple[str, ...]]) -> None:
    """Whatever needs what, each step is asked once, when all that it needs was answered."""
    chain = chain_of(*(
        f'id: {name}, prompt: "{name} {" ".join(f"{{{{ {one} }}}}" for one in before[::2])}",'
        f" after: [{', '.join(before[1::2])}]"
        for name, before in needs.items()
    ))  # fmt: skip
    told: list[tuple[str, bool]] = []

    def tell(event: ChainEvent) -> None:
        told.append(
            (event.step, False) if isinstance(event, StepAsked) else (event.answer.step, True)
        )

    models = Models()
    result = asyncio.run(run_chain(models, chain, notify=tell))
    assert sorted(told) == sorted((name, end) for name in needs for end in (False, True))
    for name, before in needs.items():
        assert all(told.index((one, True)) < told.index((name, False)) for one in before)
    assert sorted(re.split(r"\W", prompt)[0] for prompt in models.prompts) == sorted(needs)
    assert [answer.step for answer in result.answers] == list(needs)
    assert result.cost_usd == len(needs) * CENT
    position = {name: n for n, names in enumerate(chain.stages()) for name in names}
    assert set(position) == set(needs)
    assert all(position[one] < position[name] for name in needs for one in needs[name])


async def test_steps_that_do_not_need_each_other_run_at_once() -> None:
    """Two steps wait for each other's question without a deadlock, and a third for both."""
    asked = {"a": asyncio.Event(), "b": asyncio.Event()}

    async def meet(request: ChatRequest) -> str:
        name = request.messages[-1].text
        asked[name].set()
        await asyncio.gather(*(event.wait() for event in asked.values()))
        return name.upper()

    models = Models(a=meet, b=meet)
    chain = chain_of("id: a, prompt: a", "id: b, prompt: b", 'id: c, prompt: "c {{ a }}{{ b }}"')
    assert (await run_chain(models, chain)).output == "[c AB]"


async def test_fan_out_and_join() -> None:
    """Each item is asked about, a bounded number at once, and the join sees all in order."""
    arrived: list[str] = []
    two = asyncio.Event()

    async def write(request: ChatRequest) -> str:
        arrived.append(request.messages[-1].text[-1])
        if len(arrived) == 2:
            two.set()
        await two.wait()
        if arrived[0] == request.messages[-1].text[-1]:
            await asyncio.sleep(0)  # the first is answered after the second
        return f'"{request.messages[-1].text[-1]}"'

    models = Models(plan=f"```json\n{POINTS}\n```", write=write)
    told: list[ChainEvent] = []
    result = await run_chain(
        models, parse_chain(PANEL, file="c"), {"topic": "t"}, notify=told.append
    )
    assert models.prompts[-1] == 'join ["\\"a\\"","\\"b\\"","\\"c\\""] for t'
    assert models.most_running == 2
    assert [(one.step, one.item) for one in result.answers] == [
        ("plan", None), ("write", 1), ("write", 2), ("write", 3), ("join", None)
    ]  # fmt: skip
    assert result.output == f"[{models.prompts[-1]}]"
    asked = [event for event in told if isinstance(event, StepAsked)]
    assert [(event.step, event.item, event.items) for event in asked[:3]] == [
        ("plan", None, None), ("write", 1, 3), ("write", 2, 3)
    ]  # fmt: skip


async def test_values_that_are_no_text_are_put_in_as_json() -> None:
    """Objects, lists, numbers, truth and null of an answer are JSON in a prompt, texts are not."""
    answer = '{"a": {"b": [1, 2.5, true, null]}, "t": "x", "n": 12345678901234567890123}'
    chain = chain_of(
        "id: a, prompt: a, response_schema: {type: object}",
        'id: b, prompt: "b {{ a.a }} {{ a.t }} {{ a.n }} {{ a.a.b }}"',
    )
    models = Models(a=answer)
    await run_chain(models, chain)
    assert models.prompts[1] == (
        'b {"b":[1,2.5,true,null]} x 12345678901234567890123 [1,2.5,true,null]'
    )


async def test_answers_of_a_fan_out_can_be_items_again() -> None:
    """`for_each` takes the answers of a step that was itself asked for each item."""
    text = PANEL.replace(
        'join {{ write }} for {{ inputs.topic }}"', 'join {{ item }}"\n    for_each: write'
    )
    models = Models(plan=POINTS)
    result = await run_chain(models, parse_chain(text, file="c"), {"topic": "t"})
    assert json.loads(result.output) == [f"[join [write {one}]]" for one in "abc"]


async def test_no_items_are_no_calls() -> None:
    """An empty list is answered by an empty list."""
    models = Models(plan='{"points": []}')
    result = await run_chain(models, parse_chain(PANEL, file="c"), {"topic": "t"})
    assert models.prompts == ["plan t", "join [] for t"]
    assert len(result.answers) == 2


async def test_request_is_what_the_step_says() -> None:
    """Model, bounds, schema, system prompt and routing of a step reach whoever answers."""
    chain = chain_of(
        "id: a, prompt: a, system: s, model: p/m, max_output_tokens: 9, temperature: 0.5",
        "id: b, prompt: b, task_type: maths, strategy: cost, after: [a],"
        " response_schema: {type: object, properties: {x: {type: number, minimum: 0.5}}}",
    )
    models = Models(b="{}")
    result = await run_chain(models, chain, timeout_s=5.0)
    first, second = models.requests
    assert (first.model, first.max_output_tokens, first.temperature) == (
        ModelId.parse("p/m"), 9, 0.5
    )  # fmt: skip
    assert [message.role for message in first.messages] == [Role.SYSTEM, Role.USER]
    assert (second.model, second.messages) == (AUTO, (Message.user("b"),))
    assert models.routings == [(None, None), (TaskType.MATHS, Strategy.COST)]
    assert second.response_schema is not None
    assert second.response_schema.name == "b"
    assert b'"minimum":0.5' in msgspec.json.encode(second.response_schema.schema)
    assert 0 < second.timeout_s <= first.timeout_s <= 5.0
    assert (result.usage, result.cost_usd) == (Usage(input_tokens=6, output_tokens=4), 2 * CENT)
    assert result.answers[0].model == CHOSEN


async def test_models_can_be_named_for_a_run() -> None:
    """A model that is named for a step is asked instead of its own."""
    chain = chain_of("id: a, prompt: a, model: p/m", 'id: b, prompt: "{{ a }}"')
    models = Models()
    await run_chain(models, chain, models={"a": ModelId.parse("q/n")})
    assert [request.model for request in models.requests] == [ModelId.parse("q/n"), AUTO]
    with pytest.raises(UsageError, match="no step `bb`") as caught:
        await run_chain(models, chain, models={"bb": CHOSEN})
    assert caught.value.hint == "Did you mean `b`?"


async def test_inputs_are_checked_before_anything_is_asked() -> None:
    """A missing or unknown input is refused, a default is taken, and an empty text is one."""
    chain = chain_of(
        'id: a, prompt: "a {{ inputs.topic }}|{{ inputs.tone }}|{{ inputs.n }}|{{ inputs.e }}"',
        inputs="{topic: , tone: kind, n: 3, e: ''}",
    )
    models = Models()
    with pytest.raises(UsageError, match="needs the input `topic`"):
        await run_chain(models, chain)
    with pytest.raises(UsageError, match="no input `topik`"):
        await run_chain(models, chain, {"topic": "x", "topik": "y"})
    assert models.requests == []
    await run_chain(models, chain, {"topic": "", "tone": "curt"})
    assert models.prompts == ["a |curt|3|"]


async def test_output_need_not_be_the_last_step() -> None:
    """The step that `output` names is the answer; the others are asked all the same."""
    chain = chain_of("id: a, prompt: a", "id: b, prompt: b", output="a")
    result = await run_chain(Models(), chain)
    assert (result.output, len(result.answers)) == ("[a]", 2)


async def test_unknown_cost_stays_unknown() -> None:
    """One answer of unknown price or length makes the total unknown, not smaller."""
    chain = chain_of("id: a, prompt: a", "id: b, prompt: b")
    result = await run_chain(Models(a=response("x", cost_usd=None, usage=None)), chain)
    assert (result.cost_usd, result.usage) == (None, None)


# Failing


async def test_failure_names_the_step_and_ends_the_others() -> None:
    """The first step that fails ends all that run and all that wait, and its error is chained."""
    hanging = asyncio.Event()

    async def hang(_request: ChatRequest) -> str:
        hanging.set()
        return await never(_request)

    async def fail(_request: ChatRequest) -> str:
        await hanging.wait()
        raise busy()

    models = Models(a=fail, b=hang)
    chain = chain_of("id: a, prompt: a", "id: b, prompt: b", 'id: c, prompt: "c {{ a }}"')
    with pytest.raises(ChainStepError) as caught:
        await run_chain(models, chain)
    error = caught.value
    assert error.message == "The step `a` failed: [LL-513] Slow down. Wait."
    assert (error.step, error.item, error.exit_code) == ("a", None, 1)
    assert isinstance(error.__cause__, RateLimitError)
    assert (models.running, models.prompts) == (0, ["a", "b"])
    assert len(asyncio.all_tasks()) == 1


async def test_failure_names_the_item() -> None:
    """A step that is asked for each item says at which it failed."""

    async def write(request: ChatRequest) -> str:
        if request.messages[-1].text.endswith("b"):
            raise busy()
        return await never(request)

    with pytest.raises(ChainStepError, match="`write` failed at item 2 of 3: ") as caught:
        await run_chain(
            Models(plan=POINTS, write=write), parse_chain(PANEL, file="c"), {"topic": "t"}
        )
    assert (caught.value.step, caught.value.item) == ("write", 2)
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # our own bytes
    assert (again.step, again.item, str(again)) == ("write", 2, str(caught.value))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (response("x", finish_reason=FinishReason.CONTENT_FILTER), "stopped for `content_filter`"),
        (response("x", finish_reason=FinishReason.TOOL_CALLS), "stopped for `tool_calls`"),
        ("  \n", "answered nothing"),
        ("Here: {}", "does not count: it is not JSON"),
        (response('{"points": [', finish_reason=FinishReason.LENGTH), "max_output_tokens"),
        ("[" * 5_000, "does not count: it is nested too deeply"),
        ('{"points": 3}', "`plan.points` is no list"),
        ('{"note": "n"}', "there is no `points` in the answer. Name the field in `required`"),
        ("[]", "there is no `points` in the answer"),
        ('{"points": [{"titel": 1}]}', "`write` failed at item 1 of 1: there is no `item.title`"),
        (json.dumps({"points": [{"title": "x"}] * 1001}), "has 1001 items, and 1000 is the most"),
    ],
)
async def test_answer_that_cannot_be_built_on_is_a_failure(answer: object, said: str) -> None:
    """What is no whole answer, or not what the next step needs, fails with the reason."""
    with pytest.raises(ChainStepError) as caught:
        await run_chain(Models(plan=answer), parse_chain(PANEL, file="c"), {"topic": "t"})
    assert said in str(caught.value)


async def test_text_that_was_cut_off_goes_on_as_it_is() -> None:
    """A bound on an answer is no failure, and the result says which answer it has cut."""
    cut = response("half", finish_reason=FinishReason.LENGTH)
    result = await run_chain(Models(a=cut), chain_of("id: a, prompt: a"))
    assert (result.output, result.answers[0].finish_reason) == ("half", FinishReason.LENGTH)


async def test_empty_prompt_is_not_asked() -> None:
    """A prompt of nothing is refused before it is paid for, and what no model takes, too."""
    models = Models()
    chain = chain_of('id: a, prompt: " {{ inputs.i }}"', inputs="{i: ''}")
    with pytest.raises(ChainStepError, match="`a` failed: its prompt is empty"):
        await run_chain(models, chain)
    with pytest.raises(ChainStepError, match="timeout_s") as caught:
        await run_chain(models, chain, {"i": "x"}, timeout_s=float("inf"))
    assert isinstance(caught.value.__cause__, InvalidRequestError)
    assert models.requests == []


async def test_deadline_is_for_all_steps_together() -> None:
    """When the time is over the steps that were running are named, and none goes on."""
    models = Models(b=never, c=never)
    chain = chain_of(
        "id: a, prompt: a", 'id: b, prompt: "b {{ a }}"', 'id: c, prompt: "c {{ a }}"',
        'id: d, prompt: "{{ b }}"',
    )  # fmt: skip
    with pytest.raises(ChainStepError, match="before there was an answer to `b`, `c`") as e:
        await run_chain(models, chain, timeout_s=0.02)
    assert (e.value.step, models.running, len(asyncio.all_tasks())) == ("b", 0, 1)
    assert all(request.timeout_s <= 0.02 for request in models.requests)


async def test_no_time_at_all_is_the_first_steps_failure() -> None:
    """Without any time nothing is asked, and the error still names steps."""
    models = Models(a=never)
    with pytest.raises(ChainStepError, match="answer to `a`"):
        await run_chain(models, chain_of("id: a, prompt: a"), timeout_s=0)
    assert models.running == 0


async def test_cancelling_a_run_ends_its_calls(tmp_path: Path) -> None:
    """Who cancels a run gets it ended, with what was answered on the disk."""
    asked = asyncio.Event()

    async def hang(request: ChatRequest) -> str:
        asked.set()
        return await never(request)

    models = Models(b=hang)
    chain = chain_of("id: a, prompt: a", 'id: b, prompt: "b {{ a }}"')
    path = tmp_path / "state"
    task = asyncio.create_task(run_chain(models, chain, state_path=path))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (models.running, len(asyncio.all_tasks())) == (0, 1)
    models.script = {}
    result = await run_chain(models, chain, state_path=path)
    assert models.prompts == ["a", "b [a]", "b [a]"]
    assert [one.resumed for one in result.answers] == [True, False]


async def test_call_that_cancels_itself_is_a_failure() -> None:
    """A cancellation from within a call ends the run instead of letting others wait for ever."""
    chain = chain_of("id: a, prompt: a", 'id: b, prompt: "{{ a }}"')
    with pytest.raises(ChainStepError, match="`a` failed: its call cancelled itself"):
        async with asyncio.timeout(10):
            await run_chain(Models(a=asyncio.CancelledError()), chain)


async def test_defect_is_not_hidden() -> None:
    """What is no deliberate error is not made one, and ends the other calls too."""
    models = Models(a=ZeroDivisionError(), b=never)
    with pytest.raises(ExceptionGroup) as caught:
        await run_chain(models, chain_of("id: a, prompt: a", "id: b, prompt: b"))
    assert caught.group_contains(ZeroDivisionError)
    assert models.running == 0


# Money


async def test_one_budget_for_all_steps() -> None:
    """Calls at the same time cannot spend together more than there is."""
    budget = Budget(3 * CENT, name="mine")
    steps = [f"id: {name}, prompt: {name}" for name in "abc"]
    with pytest.raises(ChainStepError, match="LL-541") as caught:
        await run_chain(Models(), chain_of(*steps), budget=budget)
    assert isinstance(caught.value.__cause__, BudgetExceededError)
    assert budget.held_usd == 0
    assert budget.spent_usd <= 3 * CENT
    result = await run_chain(Models(), chain_of(*steps), budget=Budget(6 * CENT))
    assert result.cost_usd == 3 * CENT


@pytest.mark.parametrize(
    "failure",
    [
        ProviderTimeoutError("Late.", provider="local"),
        response("x", finish_reason=FinishReason.REFUSAL, cost_usd=None),
    ],
)
async def test_what_earlier_runs_spent_counts(failure: object, tmp_path: Path) -> None:
    """A resumed run can spend what is left, failures of the earlier ones included."""
    chain = chain_of("id: a, prompt: a", 'id: b, prompt: "b {{ a }}"')
    path = tmp_path / "state"
    with pytest.raises(ChainStepError, match=r"Late|refusal"):
        await run_chain(Models(b=failure), chain, budget=Budget(CENT * 9), state_path=path)
    tight = Budget(4 * CENT)
    with pytest.raises(ChainStepError, match="LL-541"):
        await run_chain(Models(), chain, budget=tight, state_path=path)
    assert tight.spent_usd == 3 * CENT
    enough = Budget(5 * CENT)
    result = await run_chain(Models(), chain, budget=enough, state_path=path)
    assert (enough.spent_usd, result.cost_usd) == (4 * CENT, 2 * CENT)


async def test_no_budget_over_unknown_spending(tmp_path: Path) -> None:
    """Where an earlier run has spent nobody knows what, a budget is refused, not guessed."""
    chain = chain_of("id: a, prompt: a", 'id: b, prompt: "b {{ a }}"')
    path = tmp_path / "state"
    with pytest.raises(ChainStepError):
        await run_chain(Models(a=response("x", cost_usd=None), b=busy()), chain, state_path=path)
    with pytest.raises(BudgetExceededError, match="earlier runs"):
        await run_chain(Models(), chain, budget=Budget(CENT * 100), state_path=path)
    assert (await run_chain(Models(), chain, state_path=path)).cost_usd is None


# Resuming


class StopError(LatticeLockError):
    """Ends a run where a test wants it."""


@settings(deadline=None, max_examples=60)
@given(plans(), st.sets(st.integers(0, 6)), st.lists(st.integers(0, 8), max_size=4))
def test_killed_anywhere_and_resumed_is_the_same(
    needs: dict[str, tuple[str, ...]], fan_out: set[int], stops: list[int]
) -> None:
    """However often it is ended, a chain comes to the same, and no answer is paid for twice."""
    chain = planned(needs, frozenset(f"s{number}" for number in fan_out))
    paid: list[str] = []
    left = 0

    async def answer(request: ChatRequest) -> str:
        nonlocal left
        await asyncio.sleep(0)
        if left == 0:
            raise StopError("Stopped.")
        left -= 1
        paid.append(request.messages[-1].text)
        return json.dumps(["x", "y"])

    models = Models(**dict.fromkeys(needs, answer))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        for stop in stops:
            left = stop
            with contextlib.suppress(ChainStepError):
                asyncio.run(run_chain(models, chain, state_path=path))
        left = 100
        resumed = asyncio.run(run_chain(models, chain, state_path=path))
        at_last = list(paid)
        assert asyncio.run(run_chain(models, chain, state_path=path)).output == resumed.output
        assert paid == at_last  # the whole chain was known
        assert [entry.name for entry in Path(folder).iterdir()] == ["state"]
    straight = asyncio.run(run_chain(models, chain))
    assert sorted(paid[len(at_last) :]) == sorted(at_last)
    assert _plain(resumed) == _plain(straight)


def _plain(result: ChainResult) -> ChainResult:
    answers = tuple(msgspec.structs.replace(one, resumed=False) for one in result.answers)
    return msgspec.structs.replace(result, answers=answers)


async def test_resumed_run_says_what_it_kept(tmp_path: Path) -> None:
    """Answers of an earlier run carry model, cost and time, and say that they are kept."""
    chain = parse_chain(PANEL, file="c")
    path = tmp_path / "state"
    models = Models(plan=POINTS, join=busy())
    with pytest.raises(ChainStepError):
        await run_chain(models, chain, {"topic": "t"}, state_path=path)
    models = Models()
    told: list[ChainEvent] = []
    result = await run_chain(
        models, chain, {"topic": "t"}, state_path=path, notify=told.append,
        models={"plan": ModelId.parse("gone/now")},
    )  # fmt: skip
    assert models.prompts == ['join ["[write a]","[write b]","[write c]"] for t']
    assert [one.resumed for one in result.answers] == [True, True, True, True, False]
    assert (result.answers[1].cost_usd, result.answers[1].latency_ms) == (CENT, 7.0)
    assert (result.cost_usd, result.answers[1].model) == (5 * CENT, CHOSEN)
    assert [event.answer.resumed for event in told if isinstance(event, StepAnswered)] == [
        True, True, True, True, False
    ]  # fmt: skip
    assert path.stat().st_mode & 0o777 == 0o600


async def test_answer_that_cannot_be_used_is_not_kept(tmp_path: Path) -> None:
    """A step whose answer was no JSON is asked again, and what that had cost still counts."""
    path = tmp_path / "state"
    chain = chain_of("id: a, prompt: a, response_schema: {}")
    with pytest.raises(ChainStepError, match="not JSON"):
        await run_chain(Models(a="No."), chain, state_path=path)
    budget = Budget(4 * CENT)
    result = await run_chain(Models(a="{}"), chain, state_path=path, budget=budget)
    assert (result.output, result.cost_usd, budget.spent_usd) == ("{}", CENT, 2 * CENT)


async def test_answer_is_on_the_disk_before_it_is_built_on(tmp_path: Path) -> None:
    """When the second step is asked, a copy of the file knows the first step's answer."""
    path, copy = tmp_path / "state", tmp_path / "copy"

    def keep() -> None:
        copy.write_bytes(path.read_bytes())

    async def second(_request: ChatRequest) -> str:
        await asyncio.to_thread(keep)
        return "b"

    chain = chain_of("id: a, prompt: a", 'id: b, prompt: "b {{ a }}"')
    await run_chain(Models(b=second), chain, state_path=path)
    models = Models()
    await run_chain(models, chain, state_path=copy)
    assert models.prompts == ["b [a]"]


async def test_state_of_something_else_is_refused(tmp_path: Path) -> None:
    """Another chain, other prompts and other inputs are refused and change nothing."""
    path = tmp_path / "state"
    chain = chain_of('id: a, prompt: "a {{ inputs.i }}"', inputs="{i: x}")
    await run_chain(Models(), chain, state_path=path)
    before = path.read_bytes()
    other = msgspec.structs.replace(chain, name="other")
    newer = chain_of('id: a, prompt: "b {{ inputs.i }}"', inputs="{i: x}")
    for wrong, inputs, said in (
        (other, {}, "holds the state of the chain `test`"),
        (newer, {}, "holds the state of another version of the chain `test`"),
        (chain, {"i": "y"}, "with other inputs"),
    ):
        models = Models()
        with pytest.raises(ChainError, match=said) as caught:
            await run_chain(models, wrong, inputs, state_path=path)
        assert (caught.value.exit_code, models.requests) == (2, [])
    assert path.read_bytes() == before
    edited = chain_of(
        'id: a, prompt: "a {{ inputs.i }}", model: p/m, max_output_tokens: 9', inputs="{i: x}"
    )
    models = Models()
    await run_chain(models, edited, {"i": "x"}, state_path=path)  # the default, spelt out
    assert models.requests == []


def _run_with(content: bytes, chain: Chain) -> ChainResult:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        path.write_bytes(content)
        try:
            return asyncio.run(run_chain(Models(), chain, state_path=path))
        except ChainError:
            assert path.read_bytes() == content
            raise


def test_damaged_state_is_refused(tmp_path: Path) -> None:
    """A file that lost its end or had one bit flipped is refused, wherever that is."""
    chain = chain_of("id: a, prompt: a")
    path = tmp_path / "state"
    asyncio.run(run_chain(Models(a='{"x"} \u00e9'), chain, state_path=path))
    content = path.read_bytes()
    assert _run_with(b"", chain).answers[0].resumed is False
    assert _run_with(content, chain).answers[0].resumed is True
    for place in range(0, len(content), 3):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        for damaged in (bytes(flipped), content[: place or 1]):
            with pytest.raises(ChainError, match="state"):
                _run_with(damaged, chain)


@pytest.mark.parametrize(
    "content", [b"name: x", b"{}", b"[" * 100_000, b"\xff", b'{"format":2,"sha256":"","state":{}}']
)
def test_file_that_is_no_state_is_never_overwritten(content: bytes) -> None:
    """What somebody named by mistake is refused and left as it is."""
    with pytest.raises(ChainError, match="state"):
        _run_with(content, chain_of("id: a, prompt: a"))


async def test_places_that_cannot_hold_a_state(tmp_path: Path) -> None:
    """A folder, a pipe, a missing folder and what is no path are refused before anything is asked.

    No device is tried: the test would replace it if the refusal were broken.
    """
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    models = Models()
    for path in (tmp_path, pipe, tmp_path / "no" / "state", Path("a\0")):
        with pytest.raises(ChainError, match="state") as caught:
            await run_chain(models, chain_of("id: a, prompt: a"), state_path=path)
        assert caught.value.exit_code == 2
    assert models.requests == []
    assert stat.S_ISFIFO(pipe.stat().st_mode)


async def test_state_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    """Where an answer cannot be kept nothing more is asked, and the error says so."""
    folder = tmp_path / "folder"
    folder.mkdir()

    def move() -> None:
        folder.rename(tmp_path / "moved")

    async def lose_it(_request: ChatRequest) -> str:
        await asyncio.to_thread(move)
        return "x"

    models = Models(a=lose_it)
    chain = chain_of("id: a, prompt: a", 'id: b, prompt: "{{ a }}"')
    with pytest.raises(ChainError, match="cannot be written: No such file") as caught:
        await run_chain(models, chain, state_path=folder / "state")
    assert not isinstance(caught.value, ChainStepError)
    assert models.prompts == ["a"]


async def test_link_to_a_state_stays_one(tmp_path: Path) -> None:
    """A symbolic link is followed, and what it leads to is replaced."""
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    await run_chain(Models(), chain_of("id: a, prompt: a"), state_path=link)
    assert link.is_symlink()
    assert target.stat().st_size > 0


async def test_one_run_at_a_time_uses_a_state(tmp_path: Path) -> None:
    """While a run holds the file, before and after it was replaced, another is refused."""
    path = tmp_path / "state"
    chain = chain_of("id: a, prompt: a", 'id: b, prompt: "b {{ a }}"')
    refused = 0

    async def intrude(_request: ChatRequest) -> str:
        nonlocal refused
        models = Models()
        with pytest.raises(ChainError, match="Another run"):
            await run_chain(models, chain, state_path=path)
        assert models.requests == []
        refused += 1
        return "x"

    await run_chain(Models(a=intrude, b=intrude), chain, state_path=path)
    assert refused == 2
    await run_chain(Models(), chain, state_path=path)


def test_nobody_slips_in_while_a_state_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has opened the old file when the new one takes its place, and locks it, is refused."""
    path = tmp_path / "state"
    fresh = _State(chain="c", chain_digest="", input_digest="", spent_usd=None)
    holder, intruder = _StateFile(path), _StateFile(path)
    holder.open(fresh)
    flock, moves = fcntl.flock, [holder.write]

    def replace_first(stream: Any, operation: int) -> None:
        if moves:
            moves.pop()(fresh)
        flock(stream, operation)

    monkeypatch.setattr(fcntl, "flock", replace_first)
    with pytest.raises(ChainError, match="Another run"):
        intruder.open(fresh)
    assert moves == []
    holder.close()
    assert intruder.open(fresh) == fresh
    intruder.close()


# Ready chains

DRAFT_THEN_REFINE = load_chain("draft-then-refine")


async def test_draft_then_refine() -> None:
    """The task goes to all three, the draft to two, the review to the last, whose text is it."""
    models = Models(Sing="la", This="")

    async def answer(request: ChatRequest) -> str:
        return "sharper" if "<review>" not in request.messages[-1].text else "la la"

    models.script["This"] = answer
    result = await run_chain(models, DRAFT_THEN_REFINE, {"task": "Sing."})
    assert result.output == "la la"
    draft, critique, refine = models.prompts
    assert draft == "Sing."
    assert "<task>\nSing.\n</task>" in critique
    assert "<draft>\nla\n</draft>" in critique
    assert "<review>\nsharper\n</review>" in refine


def test_ready_chains_are_called_as_their_files() -> None:
    """Every chain that ships is right, and has the name by which it is asked for."""
    assert "draft-then-refine" in ready_chains()
    for name in ready_chains():
        chain = load_chain(name)
        assert (chain.name, bool(chain.description)) == (name, True)


# The page


def blocks(root: Path, language: str) -> list[str]:
    """What the page shows in one language."""
    page = (root / "docs" / "how-to" / "chains.md").read_text(encoding="utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    assert len(found) == page.count(f"```{language}")
    return found


def test_the_chain_of_the_page_runs(root: Path) -> None:
    """The chain that the page shows is one, and its join sees what the page says."""
    (text,) = blocks(root, "yaml")
    chain = parse_chain(text, file="chains.md")
    assert chain.stages() == (("plan",), ("explain",), ("join",))
    models = Models(Name='{"aspects": ["a", "b"]}', Explain="said")
    asyncio.run(run_chain(models, chain, {"subject": "tides"}))
    assert models.prompts == [
        "Name three aspects of tides for beginners.",
        "Explain this aspect of tides: a",
        "Explain this aspect of tides: b",
        'Make one text of these explanations: ["said","said"]',
    ]


def test_the_examples_of_the_page_run(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Python of the page runs, keeps what was answered, and goes on after a failure."""
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(root, "python"):
        exec(compile(block, "chains.md", "exec", dont_inherit=True), names)  # noqa: S102  # our own guide
    state = tmp_path / "state"
    models = Models(Sing="draft", This=busy())
    said = asyncio.run(names["refined"](models, "Sing.", state))
    assert said == "critique failed: [LL-513] Slow down. Wait."
    models = Models(This="better")
    assert asyncio.run(names["refined"](models, "Sing.", state)) == "better"
    assert len(models.requests) == 2
    assert "draft local/chosen 0.01 True\n" in capsys.readouterr().out
