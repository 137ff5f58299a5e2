"""How often the analysis of prompts is right, and how long it takes.

The labelled prompts were written for this project, in the manner of public question sets and
without copying any. One half was looked at while the analyser was made, the other was only counted.
A prompt is right where its task type is the labelled one.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from lattice_lock.messages import ImagePart, Message, Role, TextPart
from lattice_lock.orchestrator.analyzer import UNSURE, TaskAnalyzer
from lattice_lock.orchestrator.tasks import TaskType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lattice_lock.orchestrator.tasks import TaskRequirements

_FILE: Final = Path(__file__).parent / "data" / "labelled_prompts.jsonl"
_PICTURE: Final = ImagePart(data=b"\x89PNG", media_type="image/png")
_ROUNDS: Final = 5
_TARGETS: Final = {"4,000 tokens": "< 2 ms"}
_PROSE: Final = (
    "The keeper wrote down what each boat had brought, who had weighed it, and what was paid. "
)
_CODE: Final = (
    "def step(state):\n    total = state.count + 1\n    return state.with_count(total)\n\n"
)


class Turn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message: a text, then `filler` as often as `times` says, then what comes `after`."""

    role: Role
    text: str
    filler: str = ""
    times: int = 0
    after: str = ""
    images: int = 0

    def message(self) -> Message:
        """The message that it describes."""
        text = self.text + self.filler * self.times + self.after
        words = (TextPart(text=text),) if text else ()
        return Message(role=self.role, content=(*words, *(_PICTURE,) * self.images))


class LabelledPrompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A prompt, what it asks for, and which half of the set it belongs to."""

    task: TaskType
    half: Literal["tuned", "held_out"]
    language: str
    messages: tuple[Turn, ...]

    def conversation(self) -> list[Message]:
        """Its messages."""
        return [turn.message() for turn in self.messages]


def load_prompts() -> list[LabelledPrompt]:
    """Every labelled prompt."""
    lines = _FILE.read_bytes().splitlines()
    return [msgspec.json.decode(line, type=LabelledPrompt) for line in lines]


def _print_accuracy(
    title: str, prompts: Sequence[LabelledPrompt], found: Sequence[TaskRequirements]
) -> None:
    support = Counter(prompt.task for prompt in prompts)
    said = Counter(one.task_type for one in found)
    pairs = list(zip(prompts, found, strict=True))
    right = Counter(prompt.task for prompt, one in pairs if prompt.task is one.task_type)
    print(f"\n{title}")
    print(f"{'':<18}{'precision':>10}{'recall':>8}{'support':>9}")
    for task in TaskType:
        precision = right[task] / said[task] if said[task] else 0.0
        recall = right[task] / support[task]
        print(f"{task:<18}{precision:>10.2f}{recall:>8.2f}{support[task]:>9}")
    print(f"{'accuracy':<18}{'':>10}{right.total() / len(prompts):>8.3f}{len(prompts):>9}")
    rows = {
        "not English": [pair for pair in pairs if pair[0].language != "en"],
        "several turns": [pair for pair in pairs if len(pair[0].messages) > 1],
        f"confidence < {UNSURE}": [pair for pair in pairs if pair[1].confidence < UNSURE],
        f"confidence >= {UNSURE}": [pair for pair in pairs if pair[1].confidence >= UNSURE],
    }
    for name, some in rows.items():
        share = sum(prompt.task is one.task_type for prompt, one in some) / max(1, len(some))
        print(f"  {name:<26}{share:>8.3f}{len(some):>9}")
    languages = sum(prompt.language == one.language for prompt, one in pairs)
    print(f"  {'language':<26}{languages / len(pairs):>8.3f}{len(pairs):>9}")


def _measure(analyzer: TaskAnalyzer, prompt: Sequence[Message] | str, rounds: int) -> list[float]:
    """Milliseconds of each round, in rising order."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        analyzer.analyze(prompt)
        taken.append((time.perf_counter() - began) * 1000.0)
    return sorted(taken)


def _print_times(analyzer: TaskAnalyzer, prompts: Sequence[LabelledPrompt]) -> None:
    ordinary = [prompt for prompt in prompts if prompt.task is not TaskType.LONG_CONTEXT]
    conversations = [prompt.conversation() for prompt in ordinary]
    taken = sorted(_measure(analyzer, one, _ROUNDS)[_ROUNDS // 2] for one in conversations)
    median, p99 = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
    print(f"\nms for a prompt{'median':>21}{'p99':>8}  target")
    print(f"{f'{len(taken)} labelled ones':<28}{median:>8.3f}{p99:>8.3f}  < 1 ms")
    question = "Summarise the following text.\n\n"
    for name, chars in (("4,000 tokens", 16_000), ("1 MB", 10**6), ("10 MB", 10**7)):
        for kind, unit in (("prose", _PROSE), ("code", _CODE)):
            text = question + (unit * (chars // len(unit) + 1))[:chars]
            taken = _measure(analyzer, text, 200 if chars < 10**6 else 10)
            median, p99 = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
            row = f"{f'{name} of {kind}':<28}{median:>8.3f}{p99:>8.3f}  {_TARGETS.get(name, '')}"
            print(row.rstrip())


def main() -> None:
    """Print the tables."""
    analyzer = TaskAnalyzer()
    prompts = load_prompts()
    print(f"task analysis of {len(prompts)} labelled prompts")
    for half, title in (("tuned", "looked at while tuning"), ("held_out", "held out")):
        some = [prompt for prompt in prompts if prompt.half == half]
        _print_accuracy(title, some, [analyzer.analyze(one.conversation()) for one in some])
    _print_times(analyzer, prompts)


if __name__ == "__main__":
    main()
