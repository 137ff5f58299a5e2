"""What policies cost: over whole texts, over hostile ones, and while an answer streams.

Texts are made of this repository's own documents and sources, the same each time. Every number of
a text is the best of the rounds, of a stream the median of rounds in turns; `--quick` only shows
that everything runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import statistics
import time
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import msgspec
from _server import CHUNKS, running

from lattice_lock.bootstrap import open_clients
from lattice_lock.messages import ChatRequest, Message, ModelId, TextDelta
from lattice_lock.policies.base import Action, Context, Policy, Source, Subject
from lattice_lock.policies.discovery import policy_class, policy_names
from lattice_lock.policies.placeholders import Placeholders
from lattice_lock.policies.policy_set import Enforced, PolicySet
from lattice_lock.policies.stream import judge
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT = Path(__file__).resolve().parent.parent
MILLION = 1_000_000


@cache
def default_policies() -> dict[str, Policy]:
    """Every policy that needs no parameters and reads texts: what a project would simply name."""
    found: dict[str, Policy] = {}
    for name in policy_names():
        kind = policy_class(name)
        if kind is not None and kind.reads_text and not kind.needs_documents:
            try:
                found[name] = kind()
            except (TypeError, ValueError):
                continue  # it asks for parameters, or says nothing without
    return found


def enforced(policies: Iterable[Policy], *subjects: Subject) -> tuple[Enforced, ...]:
    """Those that look at one of `subjects` where nobody says otherwise."""
    return tuple(
        Enforced(policy=one, subjects=subjects, action=one.default_action)
        for one in policies
        if set(subjects) & set(one.defaults)
    )


def texts(size: int) -> dict[str, tuple[str, ...]]:
    """About `size` characters of each kind; code as the files that it is in."""
    rng = Random(1)  # noqa: S311  # the same texts each time
    words = "".join(path.read_text() for path in sorted((ROOT / "docs").rglob("*.md")))
    code: list[str] = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        if sum(map(len, code)) < size:
            code.append(path.read_text())
    lines = [
        f"2026-11-{1 + n % 28:02} 12:{n % 60:02}:{n * 7 % 60:02},{n % 1000:03} INFO "
        f"shop.orders[{1000 + n % 50}] request id={rng.getrandbits(64):016x} status=200 "
        f"path=/orders/{n} took={rng.random() * 90:.1f}ms"
        for n in range(size // 110)
    ]
    rows = [
        {"id": n, "name": f"item {n}", "price": round(rng.random() * 99, 2), "tags": ["a", "new"]}
        for n in range(size // 80)
    ]
    return {
        "prose": (_filled(words, size),),
        "logs": (_filled("\n".join(lines), size),),
        "json": (_filled(json.dumps(rows, indent=1), size),),
        "code": tuple(code),
    }


def _filled(text: str, size: int) -> str:
    return (text * (1 + size // len(text)))[:size]


def hostile(size: int) -> dict[str, str]:
    """Texts that make careless patterns slow."""
    rng = Random(2)  # noqa: S311
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    units = {
        "digits": "4",
        "@a.b": "@a.b",
        "spaces": " ",
        "newlines": "\n",
        "brackets": "[",
        "quotes": "\"'",
        "fences": "```\n",
        "python fences": "```python\n",
        "a.": "a.",
        "zero width": "\u200b",
        "equals": "key=",
        "dashes": "-----BEGIN ",
        "ignore": "ignore all previous ",
        "select": "SELECT a FROM ",
    }
    found = {name: _filled(unit, size) for name, unit in units.items()}
    found["base64"] = "".join(rng.choices(alphabet, k=size))
    return found


def _judged(text: str, rules: Sequence[Enforced], subject: Subject) -> float:
    began = time.process_time()
    judge(text, rules, Context(subject=subject, source=Source.USER), Placeholders())
    return time.process_time() - began


def _flagging(rules: Sequence[Enforced]) -> tuple[Enforced, ...]:
    """The same, but none ends the text: a refusal at its beginning would make all of it fast."""
    return tuple(msgspec.structs.replace(one, action=Action.FLAG) for one in rules)


def throughput(size: int, rounds: int) -> None:
    """Print MB/s of each policy and of all together."""
    made = texts(size)
    load = os.getloadavg()[0]
    print(f"MB/s of CPU time over {size / MILLION:g} MB of each kind, load {load:.1f}")
    print(f"{'':<24}" + "".join(f"{name:>10}" for name in made))
    sets: dict[str, tuple[Policy, ...]] = {name: (one,) for name, one in default_policies().items()}
    sets["all together"] = tuple(default_policies().values())
    for name, policies in sets.items():
        cells = []
        for kind, pieces in made.items():
            subjects = (Subject.CODE,) if kind == "code" else (Subject.PROMPT, Subject.RESPONSE)
            rules = _flagging(enforced(policies, *subjects))
            if not rules:
                cells.append(f"{'-':>10}")
                continue
            best = min(
                sum(_judged(text, rules, subjects[-1]) for text in pieces) for _ in range(rounds)
            )
            cells.append(f"{sum(map(len, pieces)) / MILLION / best:>10.1f}")
        print(f"{name:<24}{''.join(cells)}", flush=True)


def adversarial(size: int) -> None:
    """Print the time of each policy for each hostile text, where it is long or not linear."""
    large, small = hostile(size), hostile(size // 4)
    print(f"\nhostile texts of {size / MILLION:g} MB: the slowest of each policy")
    for name, policy in default_policies().items():
        rules = _flagging(enforced([policy], policy.defaults[-1]))
        found = []
        for kind, text in large.items():
            subject = rules[0].subjects[0]
            short = min(_judged(small[kind], rules, subject) for _ in range(2))
            long = _judged(text, rules, subject)
            found.append((long, math.log(long / short, 4), kind))
        found.sort(reverse=True)
        shown = ", ".join(f"{kind} {s:.2f} s (n^{power:.2f})" for s, power, kind in found[:3])
        print(f"{name:<24}{shown}", flush=True)


async def _streams(address: str, policies: PolicySet, number: int) -> tuple[float, float]:
    """CPU seconds per chunk, and the median of milliseconds to the first text."""
    environment = {"GROQ_BASE_URL": f"{address}/v1", "GROQ_API_KEY": "k"}
    settings = await asyncio.to_thread(Settings.load, environment=environment)
    model = ModelId(provider="groq", name="openai/gpt-oss-20b")
    request = ChatRequest(model=model, messages=(Message.user("Say that all is well."),))
    firsts: list[float] = []
    async with open_clients(settings, ["groq"], policies=policies) as clients:
        for warm in (True, False):
            firsts.clear()
            began = time.process_time()
            for _ in range(max(1, number // 10) if warm else number):
                asked = time.perf_counter()
                first = 0.0
                async for event in clients["groq"].stream(request):
                    if isinstance(event, TextDelta):
                        first = first or time.perf_counter() - asked
                firsts.append(first)
            spent = time.process_time() - began
    return spent / number / CHUNKS, statistics.median(firsts) * 1000


def streaming(number: int, rounds: int) -> None:
    """Print what policies add to each chunk of a stream."""
    on = tuple(default_policies().values())
    sets = {"without": PolicySet()}
    sets |= {
        name: PolicySet(enforced([policy], Subject.RESPONSE))
        for name, policy in default_policies().items()
        if Subject.RESPONSE in policy.defaults
    }
    sets["all together"] = PolicySet(enforced(on, Subject.RESPONSE))
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in sets}
    with running() as address:
        for _ in range(rounds):
            for name, policies in sets.items():
                measured[name].append(asyncio.run(_streams(address, policies, number)))
    print(f"\nstreams of {CHUNKS} chunks of 5 characters, load {os.getloadavg()[0]:.1f}")
    print(f"{'':<24}{'chunks/s':>10}{'overhead':>10}{'ms to first text':>18}")
    base = statistics.median(one[0] for one in measured["without"])
    for name, found in measured.items():
        chunk = statistics.median(one[0] for one in found)
        first = statistics.median(one[1] for one in found)
        print(f"{name:<24}{1 / chunk:>10,.0f}{chunk / base - 1:>10.1%}{first:>18.2f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little of everything")
    parser.add_argument("--only", choices=("throughput", "hostile", "stream"))
    given = parser.parse_args()
    if given.only in {None, "throughput"}:
        throughput(*((200_000, 1) if given.quick else (4 * MILLION, 2)))
    if given.only in {None, "hostile"}:
        adversarial(100_000 if given.quick else MILLION)
    if given.only in {None, "stream"}:
        streaming(*((5, 1) if given.quick else (150, 7)))


if __name__ == "__main__":
    main()
