"""Prompts of every kind, in many languages and from hostile hands, and what is made of them."""

from __future__ import annotations

import asyncio
import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from lattice_lock.exceptions import NoCandidateError
from lattice_lock.messages import (
    ChatRequest,
    ChatResponse,
    FilePart,
    FinishReason,
    ImagePart,
    Message,
    ModelId,
    ReasoningEffort,
    ResponseSchema,
    Role,
    TextPart,
    ToolCall,
    ToolDefinition,
    ToolResult,
)
from lattice_lock.orchestrator import _analyzer_scores, analyzer
from lattice_lock.orchestrator._analyzer_cues import CueTable, cue_table, fold
from lattice_lock.orchestrator.analyzer import LONG_CONTEXT_TOKENS, UNSURE, TaskAnalyzer
from lattice_lock.orchestrator.completing import AUTO, Completes, Strategy
from lattice_lock.orchestrator.tasks import Capability, TaskType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from task_analysis import LabelledPrompt

    from lattice_lock.orchestrator.budget import Budget

ANALYZER = TaskAnalyzer()
ROOT = Path(__file__).parents[2]
PICTURE = ImagePart(data=b"\x89PNG", media_type="image/png")
SMALL = ModelId(provider="local", name="small")
CODE = "```python\ndef add(a, b):\n    return a - b\n```"
STORY = "The ferry was late again, and nobody on the quay said a word about it. " * 12


def _kind(*texts: str) -> TaskType:
    """The type of a conversation whose first turn is the user's."""
    roles = (Message.user, Message.assistant)
    messages = [roles[index % 2](text) for index, text in enumerate(texts)]
    return ANALYZER.analyze(messages).task_type


@pytest.mark.parametrize(
    ("prompt", "task"),
    [
        ("Write a function in Go that reverses a string.", TaskType.CODE_GENERATION),
        (
            'def half(n: int) -> int:\n    """Half of n, rounded down."""\n',
            TaskType.CODE_GENERATION,
        ),
        (f"Please review this code.\n\n{CODE}", TaskType.CODE_REVIEW),
        ("@@ -1,2 +1,2 @@\n-a = 1\n+a = 2\n\nAny comments?", TaskType.CODE_REVIEW),
        (f"This returns the wrong sum, why?\n\n{CODE}", TaskType.DEBUGGING),
        (
            'Traceback (most recent call last):\n  File "a.py", line 3, in <module>\nKeyError: 7',
            TaskType.DEBUGGING,
        ),
        (f"Write unit tests for this.\n\n{CODE}", TaskType.TESTING),
        ("Who is lying? Ann says Bo lies. Bo says Cy lies. Cy is silent.", TaskType.REASONING),
        ("Which is a mammal?\nA. trout\nB. whale\nC. wren\nD. newt", TaskType.REASONING),
        (
            "Ida picks 14 pears and eats 2. Three friends share the rest. How many does each get?",
            TaskType.MATHS,
        ),
        (r"Find $x$ such that $\sqrt{x} = 5$.", TaskType.MATHS),
        ("Extract the names from this text as JSON: Kim met Lou.", TaskType.DATA_EXTRACTION),
        (f"Summarise the following:\n\n{STORY}", TaskType.SUMMARISATION),
        (f"{STORY}\n\nTL;DR", TaskType.SUMMARISATION),
        ("Translate into French: the door is open", TaskType.TRANSLATION),
        ("English: The soup is cold.\nGerman:", TaskType.TRANSLATION),
        ("Write a poem about a quarry.", TaskType.CREATIVE_WRITING),
        ("[WP] The moon sends a bill.", TaskType.CREATIVE_WRITING),
        ("hi", TaskType.QUICK_RESPONSE),
        ("What is the capital of Chad?", TaskType.QUICK_RESPONSE),
        ("Explain how tides work.", TaskType.GENERAL),
        ("Suggest some hobbies for the winter.", TaskType.GENERAL),
    ],
)
def test_each_kind_of_prompt_is_known(prompt: str, task: TaskType) -> None:
    """A plain prompt of each kind has its type."""
    assert ANALYZER.analyze(prompt).task_type is task


@pytest.mark.parametrize(
    ("language", "code", "translation"),
    [
        ("en", "Please write a program that sorts a list", "Please translate this to Greek"),
        ("de", "Schreibe eine Funktion, die eine Liste sortiert", "Übersetze das ins Englische"),
        ("fr", "Écris une fonction qui trie une liste", "Traduis cette phrase en anglais"),
        ("es", "Escribe una función que ordene una lista", "Traduce esta frase al inglés"),
        ("it", "Scrivi una funzione che ordini una lista", "Traduci questa frase in inglese"),
        ("pt", "Escreva uma função que ordene uma lista", "Traduza esta frase para o inglês"),
        ("nl", "Schrijf een functie die een lijst sorteert", "Vertaal deze zin naar het Engels"),
        ("pl", "Napisz funkcję, która sortuje listę", "Przetłumacz to zdanie na angielski"),
        ("ru", "Напиши функцию, которая сортирует список", "Переведи это на английский"),
        ("uk", "Напиши функцію, яка сортує список", "Переклади це речення англійською"),
        ("zh", "写一个给列表排序的函数", "把这句话翻译成英文"),
        ("ja", "リストを並べ替える関数を書いてください", "この文を英語に翻訳してください"),
        ("ko", "리스트를 정렬하는 함수를 작성해 줘", "이 문장을 영어로 번역해 줘"),
        ("ar", "اكتب دالة ترتب قائمة", "ترجم هذه الجملة إلى الإنجليزية"),
        ("tr", "Liste için bir fonksiyon yaz", "Bu cümleyi İngilizceye çevir"),
        ("hi", "सूची को क्रम में लगाने वाला फ़ंक्शन लिखें", "इस वाक्य का अंग्रेज़ी में अनुवाद करें"),
    ],
)
def test_languages(language: str, code: str, translation: str) -> None:
    """Requests are understood in each language, and the language is told."""
    found = [ANALYZER.analyze(text) for text in (code, translation)]
    assert [one.task_type for one in found] == [TaskType.CODE_GENERATION, TaskType.TRANSLATION]
    assert [one.language for one in found] == [language, language]


def test_accents_and_capitals_need_not_be_typed() -> None:
    """What people leave out on a foreign keyboard makes no difference."""
    with_accents = ANALYZER.analyze("Écris un poème sur l'été")
    assert ANALYZER.analyze("ECRIS UN POEME SUR L'ETE").task_type is with_accents.task_type
    assert with_accents.task_type is TaskType.CREATIVE_WRITING


@pytest.mark.parametrize("text", ["", "   \n", "12 34", "\x00\x01\x07", "🙂🙂"])
def test_no_language_is_named_where_there_are_no_words(text: str) -> None:
    """Numbers, marks and nothing have no language."""
    assert ANALYZER.analyze(text).language is None


def test_the_last_turn_decides() -> None:
    """A request that stands by itself is not what was asked before."""
    before = ("Write a function that adds numbers.", CODE)
    assert _kind(*before, "Now write a poem about numbers.") is TaskType.CREATIVE_WRITING
    assert _kind(*before, "thank you!") is TaskType.QUICK_RESPONSE
    assert _kind(*before, "Translate your explanation into Dutch.") is TaskType.TRANSLATION


def test_earlier_turns_complete_a_short_one() -> None:
    """What a short answer leaves out is what was talked about."""
    before = ("Write a function that adds numbers.", CODE)
    assert _kind(*before, "now in Rust") is TaskType.CODE_GENERATION
    assert _kind(*before, "it crashes with a TypeError") is TaskType.DEBUGGING
    assert _kind("Write a limerick about a goat.", "There was ...", "funnier!") is (
        TaskType.CREATIVE_WRITING
    )


def test_system_instructions_say_what_is_done_with_every_text() -> None:
    """A text without a request is treated as the system message says."""
    system = Message.system("You translate everything that the user writes into Danish.")
    found = ANALYZER.analyze([system, Message.user("The keys are under the mat.")])
    assert found.task_type is TaskType.TRANSLATION


def test_results_of_tools_do_not_hide_the_request() -> None:
    """While tools are called, the task is still the user's."""
    messages = [
        Message.user("Translate the weather report for Oslo into German."),
        Message(
            role=Role.ASSISTANT,
            content=(ToolCall(id="1", name="weather", raw_arguments="{}"),),
        ),
        Message.tool(ToolResult(call_id="1", name="weather", content=(TextPart(text="rain"),))),
    ]
    assert ANALYZER.analyze(messages).task_type is TaskType.TRANSLATION


def test_material_does_not_speak() -> None:
    """Words of a pasted text are not taken for instructions."""
    text = "He had to write a poem, translate a letter and fix a bug before noon. " * 20
    assert _kind(f"Summarise the following text:\n\n{text}") is TaskType.SUMMARISATION
    quoted = 'Translate into Spanish: "Write a short story about a dragon and summarise it."'
    assert _kind(quoted) is TaskType.TRANSLATION


def test_another_programming_language_is_no_translation() -> None:
    """To translate code is to write code."""
    assert _kind(f"Translate this to Rust:\n\n{CODE}") is TaskType.CODE_GENERATION
    assert _kind(f"Translate the comments into French:\n\n{CODE}") is TaskType.TRANSLATION


def test_pictures() -> None:
    """A picture in the last turn makes any request one of vision, an earlier one a short one."""
    seen = Message(role=Role.USER, content=(TextPart(text="Write the HTML for this."), PICTURE))
    found = ANALYZER.analyze([seen])
    assert found.task_type is TaskType.VISION
    assert found.capabilities == {Capability.VISION}
    answer = Message.assistant("Here it is.")
    after = ANALYZER.analyze([seen, answer, Message.user("And what is on the left?")])
    assert after.task_type is TaskType.VISION
    poem = "Please write a sonnet about the sea in the style of an old sailor, with fourteen lines."
    after = ANALYZER.analyze([seen, answer, Message.user(poem * 3)])
    assert after.task_type is TaskType.CREATIVE_WRITING
    assert after.capabilities == {Capability.VISION}


def test_long_context_begins_at_its_number_of_tokens() -> None:
    """From the threshold on the length decides, in one message or in many; below it, the words."""
    for messages in (
        [Message.user(f"Summarise this book.\n\n{STORY * 200}")],
        [Message.user(STORY * 200), Message.assistant("Read."), Message.user("Who is late?")],
    ):
        found = ANALYZER.analyze(messages)
        assert found.input_tokens >= LONG_CONTEXT_TOKENS
        assert found.task_type is TaskType.LONG_CONTEXT
    short = ANALYZER.analyze(f"Summarise this book.\n\n{STORY * 50}")
    assert short.input_tokens < LONG_CONTEXT_TOKENS
    assert short.task_type is TaskType.SUMMARISATION


def test_requests_need_what_they_ask_for() -> None:
    """The capabilities are those of the whole request, and its bound on the answer holds."""
    request = ChatRequest(
        model=AUTO,
        messages=(
            Message(
                role=Role.USER,
                content=(TextPart(text="Explain it."), FilePart(name="a.pdf", url="https://x/a")),
            ),
        ),
        tools=(ToolDefinition(name="find", parameters={"type": "object"}),),
        response_schema=ResponseSchema(name="answer", schema={"type": "object"}),
        reasoning_effort=ReasoningEffort.LOW,
        temperature=0.0,
        max_output_tokens=7,
    )
    found = ANALYZER.analyze(request)
    assert found.capabilities == {
        Capability.FILES,
        Capability.TOOLS,
        Capability.STRUCTURED_OUTPUT,
        Capability.REASONING,
        Capability.SAMPLING,
    }
    assert found.output_tokens == 7
    assert found.input_tokens > ANALYZER.analyze("Explain it.").input_tokens


def test_a_known_type_is_kept() -> None:
    """Who says what the request is about gets the estimates for that."""
    found = ANALYZER.analyze("hi", task_type=TaskType.MATHS)
    assert found.task_type is TaskType.MATHS
    assert found.confidence == 1.0
    assert found.output_tokens > ANALYZER.analyze("hi").output_tokens


@pytest.mark.parametrize(
    ("prompt", "least", "most"),
    [
        ("Write an essay of 500 words on moss.", 600, 900),
        ("Schreibe einen Aufsatz mit 500 Wörtern über Moos.", 600, 900),
        ("写一篇800字的文章。", 600, 1200),
        ("Answer in one sentence: why do leaves fall?", 20, 50),
        ("What is the capital of Chad?", 1, 60),
        (f"Translate into Dutch:\n\n{STORY * 4}", 700, 2000),
    ],
)
def test_length_of_the_answer(prompt: str, least: int, most: int) -> None:
    """The answer is as long as is asked for, or as is usual for such a task and such a text."""
    assert least <= ANALYZER.analyze(prompt).output_tokens <= most


def test_complexity_grows_with_what_is_demanded() -> None:
    """A greeting is the simplest, and demands make a request harder."""
    demands = (
        "Design a distributed, thread safe cache in Rust. It must survive a crash, it should "
        "scale to at least 40 nodes without locks, and you must prove that it is linearizable. "
        "Analyze its performance in depth, and explain every trade off that you make."
    )
    prompts = ("hi", "Write a simple function that adds two numbers.", demands)
    greeting, plain, hard = (ANALYZER.analyze(text).complexity for text in prompts)
    assert 0 <= greeting < plain < hard <= 1
    assert greeting < 0.1
    assert hard > 0.6


HOSTILE = (
    "",
    " ",
    "\x00\x01\x1b[31m\ufffe",
    "\ud800 write \udfff a poem \ud8ff",
    "`" * 5000,
    "```" * 3000,
    '"' * 9000,
    "«" * 9000,
    "$" * 9000,
    "((((" * 3000,
    "A) " * 4000,
    "a = " * 4000,
    "at " * 4000 + "(",
    "\t" * 9000 + "x",
    "e\u0301\u0323" * 4000,
    "\u200b\u202e" * 4000,
    "x^" * 5000,
    "1 " * 9000,
    "word:" * 3000,
    "A) B) " * 2000,
    "$a " * 3000,
    "x[" * 4000,
    "1. A" * 2000 + "\n" + "2 = [" * 2000,
    "f(" * 4000,
    "写\n?\n" * 3000,
    "\n" * 9000,
    "- " * 4000,
    "if (" * 4000,
    "Error" * 3000,
    "Error " * 3000,
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts(text: str) -> None:
    """No text breaks it or keeps it busy, in the prompt or in what was said before."""
    for prompt in (text, [Message.user(text), Message.assistant(text), Message.user("why?")]):
        found = ANALYZER.analyze(prompt)
        assert 0 <= found.confidence <= 1
        assert 0 <= found.complexity <= 1
        assert found.output_tokens >= 1


def test_nothing_is_general_without_confidence() -> None:
    """Neither an empty text nor a conversation without messages says anything."""
    prompts: tuple[str | list[Message], ...] = ("", " \n\t", [])
    for prompt in prompts:
        found = ANALYZER.analyze(prompt)
        assert found.task_type is TaskType.GENERAL
        assert found.confidence == 0.0
    assert not ANALYZER.analyze([]).input_tokens


@given(st.text(st.characters(), max_size=400))
def test_every_text_is_analysed_twice_alike(text: str) -> None:
    """Any text has requirements within their ranges, and always the same."""
    found = ANALYZER.analyze(text)
    assert found == TaskAnalyzer().analyze(text)
    assert 0 <= found.confidence <= 1
    assert 0 <= found.complexity <= 1
    assert found.output_tokens >= 1
    assert found.language is None or len(found.language) == 2


def test_what_is_read_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long prompts and conversations are, a bounded part of their text is looked at."""
    read: list[int] = []

    def counted(text: str, *, alone: bool = False) -> _analyzer_scores.Reading:
        read.append(len(text))
        return _analyzer_scores.read(text, alone=alone)

    monkeypatch.setattr(analyzer, "read", counted)
    text = "Fix the bug. " * 10_000
    TaskAnalyzer().analyze(text)
    assert sum(read) < 10_000
    read.clear()
    turns = [Message.user(text), Message.assistant(text)] * 500
    TaskAnalyzer().analyze([*turns, Message.user("now shorter")])
    assert sum(read) < 10_000


def test_the_end_of_a_long_prompt_is_read() -> None:
    """An instruction after a long text counts as much as one before it."""
    assert _kind(f"{STORY * 40}\n\nTranslate this into Finnish.") is TaskType.TRANSLATION


@pytest.fixture(scope="module")
def prompts() -> Sequence[LabelledPrompt]:
    """The labelled prompts that the benchmark counts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        labelled: Sequence[LabelledPrompt] = importlib.import_module("task_analysis").load_prompts()
    return labelled


def test_accuracy_on_the_labelled_prompts(prompts: Sequence[LabelledPrompt]) -> None:
    """Both halves are mostly right, each class is, and what it is sure of is right more often."""
    found = [(one, ANALYZER.analyze(one.conversation())) for one in prompts]
    for half, floor in (("tuned", 0.95), ("held_out", 0.88)):
        some = [(one.task, said.task_type) for one, said in found if one.half == half]
        assert sum(task is said for task, said in some) / len(some) >= floor
        for task in TaskType:
            of_class = [said for labelled, said in some if labelled is task]
            assert of_class.count(task) / len(of_class) >= 0.75, task
    sure = [one.task is said.task_type for one, said in found if said.confidence >= UNSURE]
    assert sum(sure) / len(sure) >= 0.95
    assert sum(one.language == said.language for one, said in found) / len(found) >= 0.9


def test_labelled_prompts_are_what_is_said_of_them(prompts: Sequence[LabelledPrompt]) -> None:
    """There are 300 at least, 20 of each class, a quarter not English, and none twice."""
    assert len(prompts) >= 300
    for task in TaskType:
        assert sum(one.task is task for one in prompts) >= 20
    assert sum(one.language != "en" for one in prompts) > len(prompts) / 4
    assert len({msgspec.json.encode(one.messages) for one in prompts}) == len(prompts)


def test_every_listed_cue_can_be_found() -> None:
    """The table holds no cue that its own text would not match."""
    table: CueTable = cue_table()
    for groups in (table.whole, table.stems):
        for by_second in groups.values():
            for second, cues in by_second.items():
                for cue in cues:
                    assert cue in table.beginning(cue.first, second or "anything")
                    assert cue.first == fold(cue.first)


class Chooser(Completes):
    """Answers every question with the same words, or fails, or never does."""

    def __init__(self, answer: str | BaseException | None) -> None:
        self.answer = answer
        self.requests: list[ChatRequest] = []

    @override
    async def complete(
        self,
        request: ChatRequest,
        *,
        task_type: TaskType | None = None,
        strategy: Strategy | None = None,
        budget: Budget | None = None,
    ) -> ChatResponse:
        assert task_type is not None, "An orchestrator would analyse the question in turn."
        self.requests.append(request)
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, BaseException):
            raise self.answer
        message = Message.assistant(str(self.answer))
        return ChatResponse(model=SMALL, message=message, finish_reason=FinishReason.STOP)


VAGUE = "The thing with the numbers from yesterday, you know the one"


@pytest.mark.parametrize("answer", ["maths", " Maths.\n", "**maths**", "MATHS"])
async def test_a_model_is_asked_where_nobody_is_sure(answer: str) -> None:
    """Its choice is taken, with the estimates that belong to it."""
    before = ANALYZER.analyze(VAGUE)
    assert before.confidence < UNSURE
    chooser = Chooser(answer)
    after = await ANALYZER.refine(before, VAGUE, completes=chooser, model=SMALL)
    assert after.task_type is TaskType.MATHS
    assert after.confidence == UNSURE
    assert after.output_tokens == ANALYZER.analyze(VAGUE, task_type=TaskType.MATHS).output_tokens
    (request,) = chooser.requests
    assert request.model == SMALL
    assert VAGUE in request.messages[-1].text


async def test_names_of_two_words_are_understood() -> None:
    """A model may write a type with a space or a hyphen."""
    before = ANALYZER.analyze(VAGUE)
    for answer in ("code review", "Code-Review", "code_review"):
        after = await ANALYZER.refine(before, VAGUE, completes=Chooser(answer), model=SMALL)
        assert after.task_type is TaskType.CODE_REVIEW


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I cannot tell.",
        "maths or reasoning",
        "vision",
        "mathsy",
        NoCandidateError("none"),
        None,
    ],
)
async def test_what_a_model_fails_to_choose_stays(answer: str | BaseException | None) -> None:
    """Nonsense, several types, an error and silence leave the requirements as they were."""
    before = ANALYZER.analyze(VAGUE)
    after = await ANALYZER.refine(
        before, VAGUE, completes=Chooser(answer), model=SMALL, timeout_s=0.01
    )
    assert after == before


async def test_nobody_is_asked_where_it_is_sure() -> None:
    """A clear prompt, and one of nothing, cost no call."""
    chooser = Chooser("maths")
    prompts: tuple[str | list[Message], ...] = ("Translate into French: good night", [])
    for prompt in prompts:
        before = ANALYZER.analyze(prompt)
        assert await ANALYZER.refine(before, prompt, completes=chooser, model=SMALL) == before
    assert not chooser.requests


async def test_a_model_is_shown_little_of_a_long_prompt() -> None:
    """The question stays short however long the prompt is, so that a small window holds it."""
    prompt = f"{VAGUE} " * 1000
    chooser = Chooser("general")
    before = msgspec.structs.replace(ANALYZER.analyze(prompt), confidence=0.1)
    await ANALYZER.refine(before, prompt, completes=chooser, model=SMALL)
    assert len(chooser.requests[0].messages[-1].text) < 2500


def test_examples_in_the_documentation() -> None:
    """What docs/explanation/task-analysis.md shows is so."""
    page = (ROOT / "docs/explanation/task-analysis.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "task-analysis.md", "exec"), {})  # noqa: S102  # our own page
