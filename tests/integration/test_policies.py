"""Policies on real answers: a key that a model writes never reaches who asked, on any way there."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import string
import traceback
from contextlib import aclosing, asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from command_process import run
from every_provider import CASES, FORMATS, client_of
from lattice_lock.agents.build import BuildLimits, BuildRequest, build
from lattice_lock.agents.progress import RejectedBy
from lattice_lock.bootstrap import open_orchestrator
from lattice_lock.exceptions import APIClientError, LatticeLockError, PolicyViolationError
from lattice_lock.messages import ModelId, ReasoningDelta, StreamEnd, TextDelta
from lattice_lock.orchestrator.budget import Budget
from lattice_lock.orchestrator.chain import parse_chain, run_chain
from lattice_lock.orchestrator.consensus import ConsensusEngine
from lattice_lock.orchestrator.policy_layer import PolicyLayer
from lattice_lock.policies.banned_terms import BannedTerms
from lattice_lock.policies.base import Action, Context, Subject
from lattice_lock.policies.no_secrets import NoSecrets
from lattice_lock.policies.policy_set import Enforced, PolicySet
from lattice_lock.settings import Settings
from planted_answers import Planted, body, events, leaves, replaced, taken_apart
from scripted_model import SMALL, ScriptedModel
from wire_server import NOWHERE, answer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from every_provider import Case
    from lattice_lock.messages import ChatRequest, ChatResponse, StreamEvent
    from lattice_lock.orchestrator.orchestrator import ModelOrchestrator
    from lattice_lock.policies.base import Policy
    from lattice_lock.providers.base_client import BaseAPIClient
    from wire_server import ScriptedServer, Step, Wire

_RANDOM = Random(7)  # noqa: S311  # it protects nothing
KEY = "AK" + "IA" + "".join(_RANDOM.choices(string.ascii_uppercase + "234567", k=16))
"""Looks like a key of AWS; made here, so that no file holds one."""

ESCAPED = "".join(f"\\u{ord(one):04x}" for one in KEY)
POLICIES: dict[str, Policy] = {
    "banned-terms": BannedTerms(terms=(KEY,), inside_words=True),
    "no-secrets": NoSecrets(),
}
ACTIONS = (Action.DENY, Action.REDACT)
NOT_EVERYWHERE = {"thoughts", "hidden by a later key"}
"""Some providers put a blank line between thoughts, or send arguments as an object."""

every_action = pytest.mark.parametrize("action", ACTIONS)
every_policy = pytest.mark.parametrize("policy", POLICIES)


def layer(policy: str, action: Action) -> PolicyLayer:
    """What holds answers to a policy."""
    enforced = Enforced(policy=POLICIES[policy], subjects=(Subject.RESPONSE,), action=action)

    def about(request: ChatRequest) -> Context:
        return Context(subject=Subject.PROMPT, model=request.model)

    return PolicyLayer(PolicySet((enforced,)), about=about)


class Caller:
    """Who asks, and remembers everything that comes back."""

    def __init__(self, client: BaseAPIClient, case: Case, policies: PolicyLayer | None) -> None:
        self._client = client
        self._case = case
        self._layers = () if policies is None else (policies,)
        self.events: list[StreamEvent] = []
        self.response: ChatResponse | None = None
        self.error: LatticeLockError | None = None

    async def complete(self) -> None:
        """Ask for the whole answer."""
        try:
            self.response = await self._client.chat_completion(
                self._case.ask(), layers=self._layers
            )
        except LatticeLockError as error:
            self.error = error

    async def stream(self) -> None:
        """Ask for the answer as it is made."""
        try:
            async with aclosing(
                self._client.stream(self._case.ask(), layers=self._layers)
            ) as stream:
                async for event in stream:
                    self.events.append(event)
        except LatticeLockError as error:
            self.error = error
        if self.events and isinstance(self.events[-1], StreamEnd):
            self.response = self.events[-1].response

    def received(self) -> str:
        """All of it as one text, neighbouring pieces joined as a reader joins them."""
        found = [repr(self.events), repr(self.response)]
        found += [
            "".join(one.text for one in self.events if isinstance(one, kind))
            for kind in (TextDelta, ReasoningDelta)
        ]
        if self.response is not None:
            found.append(self.response.text)
            found.append("".join(getattr(one, "text", "") for one in self.response.message.content))
            for call in self.response.tool_calls:
                found += [call.raw_arguments, _unescaped(call.raw_arguments)]
        return "\n".join(found) + _everything(self.error)


def _unescaped(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments), ensure_ascii=False)
    except ValueError:
        return ""


def _everything(error: BaseException | None) -> str:
    """All that can be read out of an error and of what led to it."""
    chain: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and one not in chain:
            chain.append(one)
            left += [one.__cause__, one.__context__]
    shown = [f"{one!r} {one} {one.args!r} {vars(one)!r}" for one in chain]
    if error is not None:
        shown += traceback.format_exception(error)
        shown.append(pickle.dumps(error).decode("latin-1"))
    return "\n".join(shown)


def ensure_clean(caller: Caller, log: str) -> None:
    """Nothing that has come back, and nothing that was logged, has the key in it."""
    for written in (caller.received(), log):
        assert KEY not in written
        assert KEY.lower() not in written.lower()


@asynccontextmanager
async def calling(
    case: Case, policy: str, action: Action, *steps: Step
) -> AsyncIterator[tuple[BaseAPIClient, PolicyLayer, ScriptedServer]]:
    """A client of a server that follows `steps`."""
    async with serving(*steps) as server, client_of(case, server.url) as client:
        yield client, layer(policy, action), server


def plants() -> dict[str, Planted]:
    """The key in every place that a model writes to, in its forms."""
    half = len(KEY) // 2
    return {
        "text": Planted(texts=(f"The key is {KEY}.",)),
        "first": Planted(texts=(f"{KEY} is it",)),
        "last": Planted(texts=("it is " + KEY,)),
        "alone": Planted(texts=(KEY,)),
        "blocks": Planted(texts=(f"The key is {KEY[:half]}", f"{KEY[half:]} indeed.")),
        "thought": Planted(thoughts=(f"They want {KEY}, I see.",)),
        "thought at the end": Planted(thoughts=(f"It is {KEY}",)),
        "thoughts": Planted(thoughts=(f"It is {KEY[:half]}", f"{KEY[half:]}, so")),
        "argument": Planted(arguments=json.dumps({"city": f"to {KEY}", "days": 3})),
        "name of an argument": Planted(arguments=json.dumps({KEY: 1, "city": [{"a": [KEY]}]})),
        "escaped": Planted(arguments=f'{{"city": "to {ESCAPED}", "n": 1.50}}'),
        "half escaped": Planted(arguments=f'{{"city": "{ESCAPED[: 6 * half]}{KEY[half:]}"}}'),
        "hidden by a later key": Planted(arguments=f'{{"city": "{KEY}", "city": "Oslo"}}'),
        "everywhere": Planted(
            texts=(KEY, " and ", KEY), thoughts=(KEY,), arguments=json.dumps({"city": KEY})
        ),
    }


@every_action
@every_policy
@pytest.mark.parametrize("name", CASES)
async def test_no_provider_gets_a_key_past_the_policies(
    name: str, policy: str, action: Action, caplog: pytest.LogCaptureFixture
) -> None:
    """Whole or streamed in pieces of 1, 3 or 7 characters, the key stands nowhere in the answer."""
    caplog.set_level(logging.DEBUG)
    case = CASES[name]
    steps: list[Step] = []
    cuts = (1, 3, 7)
    for number, planted in enumerate(plants().values()):
        steps.append(answer(body(case, planted)))
        sized = Planted(
            texts=planted.texts,
            thoughts=planted.thoughts,
            arguments=planted.arguments,
            cut=cuts[number % len(cuts)],
        )
        steps.append(case.sends(b"".join(events(case, sized))))
    async with calling(case, policy, action, *steps) as (client, policies, server):
        for place in plants():
            once = Caller(client, case, policies)
            await once.complete()
            streamed = Caller(client, case, policies)
            await streamed.stream()
            for caller in (once, streamed):
                ensure_clean(caller, caplog.text)
                if action is Action.REDACT:
                    assert caller.response is not None, (place, caller.error)
                elif place not in NOT_EVERYWHERE:
                    assert isinstance(caller.error, PolicyViolationError), place
            if action is Action.REDACT:
                assert once.response is not None
                assert streamed.response is not None
                assert streamed.response.text == once.response.text, place
                shown = "".join(one.text for one in streamed.events if isinstance(one, TextDelta))
                assert shown == once.response.text, place
        assert len(server.requests) == len(steps)


@every_action
@every_policy
@pytest.mark.parametrize("name", FORMATS)
async def test_a_key_does_not_pass_wherever_the_stream_is_cut(
    name: str, policy: str, action: Action
) -> None:
    """Every cut in two of a text, a thought and arguments: what passes is the same each time."""
    case = CASES[name]
    text, thought = f"It is {KEY}.", f"So {KEY}?"
    arguments = f'{{"city": "{ESCAPED[:24]}{KEY[4:]}"}}'
    expected: set[tuple[str, str]] = set()
    longest = max(map(len, (text, thought, arguments)))
    made = [
        Planted(texts=(text,), thoughts=("Hm.",), cut=cut) for cut in range(1, len(text) + 1)
    ] + [
        Planted(texts=("Ok.",), thoughts=(thought,), arguments=arguments, cut=cut)
        for cut in range(1, longest + 1, 2)
    ]
    steps = [case.sends(b"".join(events(case, one))) for one in made]
    async with calling(case, policy, action, *steps) as (client, policies, _server):
        for one in made:
            caller = Caller(client, case, policies)
            await caller.stream()
            ensure_clean(caller, "")
            shown = "".join(e.text for e in caller.events if isinstance(e, TextDelta))
            expected.add((str(one.texts), shown))
    assert len(expected) == 2, expected


@every_action
@pytest.mark.parametrize("name", FORMATS)
async def test_a_key_in_any_field_of_an_answer_does_not_pass(
    name: str, action: Action, caplog: pytest.LogCaptureFixture
) -> None:
    """Ids, names, reasons, signatures, citations: each text of the wire is a key once."""
    caplog.set_level(logging.DEBUG)
    case = CASES[name]
    planted = Planted(cut=50)
    whole = body(case, planted)
    bodies = [replaced(whole, path, KEY) for path in leaves(whole)]
    streams: list[list[bytes]] = []
    pieces = events(case, planted)
    for number, piece in enumerate(pieces):
        apart = taken_apart(case, piece)
        if apart is not None:
            value, made = apart
            streams += [
                [*pieces[:number], made(replaced(value, path, KEY)), *pieces[number + 1 :]]
                for path in leaves(value)
            ]
    steps: list[Step] = [answer(one) for one in bodies]
    steps += [case.sends(b"".join(one)) for one in streams]
    async with calling(case, "banned-terms", action, *steps) as (client, policies, server):
        for _ in bodies:
            caller = Caller(client, case, policies)
            await caller.complete()
            ensure_clean(caller, caplog.text)
        for _ in streams:
            caller = Caller(client, case, policies)
            await caller.stream()
            ensure_clean(caller, caplog.text)
        assert len(server.requests) == len(steps)


@pytest.mark.parametrize("name", FORMATS)
async def test_without_policies_every_planted_key_would_be_seen(name: str) -> None:
    """The search finds each key where nothing holds it back, or it would prove nothing."""
    case = CASES[name]
    places = {place: one for place, one in plants().items() if place not in NOT_EVERYWHERE}
    steps: list[Step] = []
    for planted in places.values():
        steps += [answer(body(case, planted)), case.sends(b"".join(events(case, planted)))]
    async with serving(*steps) as server, client_of(case, server.url) as client:
        for place in places:
            once, streamed = Caller(client, case, None), Caller(client, case, None)
            await once.complete()
            await streamed.stream()
            for caller in (once, streamed):
                assert KEY in caller.received(), place


@every_action
@pytest.mark.parametrize("name", FORMATS)
async def test_an_answer_that_breaks_off_shows_no_part_of_the_key(
    name: str, action: Action
) -> None:
    """Where the server dies in the middle of the key, what was held back is never shown."""
    case = CASES[name]
    half = KEY[:12]
    planted = Planted(texts=(f"It is {half}",), cut=3)
    begun = [one for one in events(case, planted) if b"Oslo" not in one]
    last = max(at for at, one in enumerate(begun) if half[-3:].encode() in one)

    async def dies(wire: Wire) -> None:
        await wire.head(kind=case.stream_type)
        await wire.send(*begun[: last + 1])
        wire.reset()

    async with calling(case, "banned-terms", action, dies) as (client, policies, _server):
        caller = Caller(client, case, policies)
        await caller.stream()
    assert isinstance(caller.error, APIClientError)
    assert half not in caller.received()
    assert half[:6] not in caller.received()


@every_action
async def test_streams_that_are_left_leave_nothing_behind(action: Action) -> None:
    """A caller that goes away in mid-answer ends the request, its tasks and its sockets."""
    case = CASES["openai-chat"]
    pieces = events(case, Planted(texts=("word " * 40 + KEY,), cut=5))

    async def endless(wire: Wire) -> None:
        await wire.head(kind=case.stream_type)
        await wire.send(*pieces[:30])
        await wire.until_hung_up()

    async with calling(case, "banned-terms", action, endless) as (client, policies, server):
        tasks, descriptors = asyncio.all_tasks(), _descriptors()
        for _ in range(3):
            server.hung_up.clear()
            stream = client.stream(case.ask(), layers=(policies,))
            assert isinstance(await anext(stream), ReasoningDelta | TextDelta)
            await stream.aclose()
            await asyncio.wait_for(server.hung_up.wait(), 5)

        async def read() -> None:
            async with aclosing(client.stream(case.ask(), layers=(policies,))) as left:
                async for _ in left:
                    begun.set()

        begun = asyncio.Event()
        server.hung_up.clear()
        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.hung_up.wait(), 5)
        await _until(lambda: asyncio.all_tasks() <= tasks)
        await _until(lambda: _descriptors() <= descriptors)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _until(true: Callable[[], bool]) -> None:
    """Let the loop run on until something is so."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110  # nothing announces the end of a socket
            await asyncio.sleep(0)


@asynccontextmanager
async def front_door(
    folder: Path, policies: str, *steps: Step
) -> AsyncIterator[tuple[ModelOrchestrator, ScriptedServer]]:
    """An orchestrator that holds calls to a policy file, before a server of OpenAI's format."""
    path = folder / "policies.yaml"
    path.write_text("policies:\n" + policies)
    async with serving(*steps) as server:
        environment = {
            "LATTICE_LOCK_DATA_DIR": str(folder),
            "LATTICE_LOCK_POLICIES_FILE": str(path),
            "OPENAI_BASE_URL": server.url,
            "OPENAI_API_KEY": "k",
        }
        settings = Settings.load(environment=environment, dotenv=NOWHERE)
        async with open_orchestrator(settings) as orchestrator:
            yield orchestrator, server


def banned(term: str, **more: str) -> str:
    """A declaration that objects to a term."""
    written = "".join(f", {key}: {value}" for key, value in more.items())
    return f"  - {{use: banned-terms, terms: [{term}]{written}}}\n"


CHAT = CASES["openai-chat"]


async def test_a_refused_answer_is_paid_for_and_nothing_stays_held(tmp_path: Path) -> None:
    """Whole or streamed, refused half way or at its end, the budget has no hold left open."""
    late = Planted(arguments=json.dumps({"city": KEY}))
    early = Planted(texts=(KEY + " word" * 60,))
    steps: list[Step] = []
    for planted in (early, late):
        steps += [answer(body(CHAT, planted)), CHAT.sends(b"".join(events(CHAT, planted)))]
    request = CHAT.ask(max_output_tokens=100)
    async with front_door(tmp_path, banned(KEY, on="[response]"), *steps) as (door, server):
        for _ in range(2):
            for stream in (False, True):
                budget = Budget(Decimal(1))
                asked = (
                    _drain(door.stream(request, budget=budget))
                    if stream
                    else door.complete(request, budget=budget)
                )
                with pytest.raises(PolicyViolationError):
                    await asked
                assert budget.held_usd == 0
                assert 0 < budget.spent_usd < Decimal("0.1")
        assert len(server.requests) == 4


async def _drain(stream: AsyncGenerator[StreamEvent, None]) -> int:
    async with aclosing(stream):
        return len([one async for one in stream])


async def test_streams_at_the_same_time_share_no_placeholders(tmp_path: Path) -> None:
    """Each caller gets back what was taken out of its own prompt, under the same name."""
    both = asyncio.Event()
    asked: list[int] = []

    async def step(wire: Wire) -> None:
        asked.append(1)
        if len(asked) == 2:
            both.set()
        await both.wait()
        await CHAT.sends(*events(CHAT, Planted(texts=("So [TERM_1], not [TERM_2].",), cut=3)))(wire)

    policies = banned("Nightingale, Lark", on="[prompt]", action="redact", restore="true")
    async with front_door(tmp_path, policies, step) as (door, server):

        async def say(prompt: str) -> str:
            async with aclosing(door.stream(CHAT.ask(prompt))) as stream:
                found = [one async for one in stream]
            assert isinstance(found[-1], StreamEnd)
            shown = "".join(one.text for one in found if isinstance(one, TextDelta))
            assert shown == found[-1].response.text
            return shown

        said = await asyncio.gather(say("Nightingale?"), say("a lark?"))
    assert list(said) == ["So Nightingale, not [TERM_2].", "So lark, not [TERM_2]."]
    sent = {one.json["messages"][0]["content"] for one in server.requests}
    assert sent == {"[TERM_1]?", "a [TERM_1]?"}


async def test_panels_and_chains_keep_to_the_policies(tmp_path: Path) -> None:
    """What is asked through the orchestrator is judged, whoever asks: prompts and answers."""
    policies = banned("Nightingale", on="[prompt]") + banned(KEY, on="[response]", action="redact")
    said = body(CHAT, Planted(texts=(f"It is {KEY}.",)))
    said["choices"][0]["finish_reason"] = "stop"
    del said["choices"][0]["message"]["tool_calls"]
    model = "openai/gpt-4.1"
    panel = [ModelId.parse(model), ModelId.parse("openai/gpt-4o")]
    steps = f"steps:\n  - {{id: a, model: {model}, prompt: Name it.}}\n"
    chain = parse_chain(f"name: c\n{steps}", file="c.yaml")
    async with front_door(tmp_path, policies, answer(said)) as (door, server):
        engine = ConsensusEngine(door)
        refused = await engine.decide(CHAT.ask("About Nightingale"), panel)
        assert not refused.decided
        assert server.requests == []
        decision = await engine.decide(CHAT.ask("About it"), panel)
        result = await run_chain(door, chain)
    assert decision.decided
    for one in (decision, result):
        assert KEY not in repr(one)
        assert "[TERM_1]" in repr(one)


LATTICE = """\
version: v1.0
generated_module: types_v1
policies:
  - {use: banned-terms, on: [code], terms: [Nightingale]}
  - {use: no-dangerous-calls, on: [code]}
interfaces:
  IMath:
    file: src/services/math_service.py
    methods:
      double:
        params: {number: int}
        returns: int
        ensures: ["result == number * 2"]
"""
BAD = (
    "```python\ndef double(number):\n    a = 'nightingale'\n    return number * 2 if a else 0\n```"
)
WORSE = "```python\ndef double(number):\n    return eval('number * 2')\n```"
GOOD = "```python\ndef double(number):\n    return number * 2\n```"


def _files(folder: Path) -> dict[str, str]:
    """What every file below a folder says, by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.sandbox
async def test_a_candidate_that_a_policy_refuses_never_reaches_the_disk(tmp_path: Path) -> None:
    """It is correct and yet rejected: alone it changes no file, nor does a good one after it."""
    (tmp_path / "lattice.yaml").write_text(LATTICE)
    for replies, complete in (([BAD, WORSE], False), ([BAD, WORSE, GOOD], True)):
        model = ScriptedModel({"small": replies})
        limits = BuildLimits(attempts_per_model=len(replies))
        request = BuildRequest(path=tmp_path, chat=model, models=(SMALL,), limits=limits)
        report = await build(request, lambda _: None)
        (row,) = report.methods
        assert report.complete is complete
        assert row.rejections == {RejectedBy.SHERIFF: 2}
        files = _files(tmp_path)
        assert (files.keys() > {"lattice.yaml"}) is complete
        for name, written in files.items():
            if name != "lattice.yaml":
                assert "'nightingale'" not in written
                assert "eval(" not in written


async def test_a_lattice_whose_policies_are_wrong_does_not_compile(tmp_path: Path) -> None:
    """Exit code 2, every fault with its line, and nothing is written."""
    lattice = tmp_path / "lattice.yaml"
    lattice.write_text(
        LATTICE.replace("banned-terms, on", "banned-term, on").replace(
            "no-dangerous-calls, on: [code]", "max-length, characters: none"
        )
    )
    outcome = await run(tmp_path, "compile", str(tmp_path))
    assert outcome.code == 2
    assert "lattice.yaml:4:" in outcome.err
    assert "lattice.yaml:5:" in outcome.err
    assert "`banned-terms`" in outcome.err
    assert _files(tmp_path).keys() == {"lattice.yaml"}


async def test_check_reports_code_that_a_policy_refuses(tmp_path: Path) -> None:
    """Exit code 1, and the finding names its rule and its line."""
    (tmp_path / "lattice.yaml").write_text(LATTICE)
    compiled = await run(tmp_path, "compile", str(tmp_path))
    assert compiled.code == 0, compiled.err
    path = tmp_path / "src/services/math_service.py"
    path.write_text(path.read_text() + "\n\nNAME = 'Nightingale'\n")
    line = path.read_text().splitlines().index("NAME = 'Nightingale'") + 1
    outcome = await run(tmp_path, "check", str(tmp_path), "--format", "json")
    assert outcome.code == 1, outcome.err
    found = json.dumps(outcome.json)
    assert "policy-violation" in found
    assert f'"line": {line}' in found
