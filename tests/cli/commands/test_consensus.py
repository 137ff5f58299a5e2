"""`lattice-lock consensus`, as a real process against real servers."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from command_process import finished, isolated, run, started
from wire_server import answer, serving, whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from command_process import Outcome
    from wire_server import ScriptedServer, Wire

ABC = ("--panel", "local/a,local/b", "--panel", "local/c")


@asynccontextmanager
async def models(**answers: str | int | None) -> AsyncIterator[ScriptedServer]:
    """A local server whose models answer a text, refuse with a status, or, with None, hang.

    Any other model says Paris. Where one hangs, the others answer once it was asked.
    """
    hangs = asyncio.Event()
    if None not in answers.values():
        hangs.set()

    async def step(wire: Wire) -> object:
        request = server.requests[-1]
        if request.method == "GET":
            listed = {"object": "list", "data": [{"id": name} for name in answers]}
            return await answer(listed)(wire)
        said = answers.get(request.json["model"], "Paris")
        if said is None:
            hangs.set()
            await wire.until_hung_up()
            return "close"
        await hangs.wait()
        if isinstance(said, int):
            return await answer({"error": {"message": "No."}}, said)(wire)
        return await answer(whole(said))(wire)

    async with serving(step) as server:
        yield server


async def consensus(folder: Path, server: ScriptedServer, *arguments: str) -> Outcome:
    """What the command says to a question, asking the models of `server`."""
    return await run(folder, "consensus", "Capital?", *arguments, LATTICE_LOCK_LOCAL_URL=server.url)


async def test_majority_is_told_with_its_members_and_dissent(tmp_path: Path) -> None:
    """A table of who said what, the decision, and the dissent in its own words."""
    async with models(a="Paris", b="**paris**", c="Lyon,\nI think") as server:
        outcome = await consensus(tmp_path, server, *ABC, "--hear-all")
    assert outcome.code == 0, outcome.err
    table, decided, decision, dissent, cost = outcome.out.rstrip("\n").split("\n\n")
    assert [line.split()[:2] for line in table.splitlines()[2:]] == [
        ["local/a", "Paris"], ["local/b", "**paris**"], ["local/c", "Lyon,"],
    ]  # fmt: skip
    assert [line.split()[-1] for line in table.splitlines()[2:]] == ["0", "0", "0"]
    assert decided == "Decided: 2 of 3 members agree."
    assert decision == "Paris"
    assert cost == "The answers cost 0 USD."
    assert dissent == "local/c dissents:\nLyon,\nI think"
    first, *rest = outcome.err.splitlines()
    assert first == "Asking local/a, local/b, local/c ..."
    assert sorted(rest) == ["local/a: voted", "local/b: voted", "local/c: voted"]


async def test_json_is_the_whole_decision(tmp_path: Path) -> None:
    """JSON holds decision, votes with answers and errors, and totals."""
    async with models(a="Paris", b="Paris", c=401) as server:
        outcome = await consensus(tmp_path, server, *ABC, "--format=json", "--hear-all")
    decision = outcome.json
    assert (outcome.code, decision["decided"], decision["answer"]) == (0, True, "Paris")
    assert [vote["status"] for vote in decision["votes"]] == ["voted", "voted", "absent"]
    assert decision["votes"][2]["absence"]["code"] == "LL-510"
    assert (decision["cost_usd"], decision["usage"]["output_tokens"]) == ("0", 4)


async def test_tie_is_code_1(tmp_path: Path) -> None:
    """No decision is a finding, told with the tally."""
    async with models(a="Paris", b="Lyon") as server:
        outcome = await consensus(tmp_path, server, "-p", "local/a", "-p", "local/b")
    assert outcome.code == 1, outcome.err
    assert "Not decided: Nothing has more than half of the panel, and the first are tied" in (
        outcome.out
    )


async def test_who_cannot_change_anything_is_hung_up_on(tmp_path: Path) -> None:
    """Two of three agree: the command ends, and the third model is hung up on."""
    async with models(a="Paris", b="Paris", c=None) as server:
        outcome = await consensus(tmp_path, server, *ABC)
        await asyncio.wait_for(server.hung_up.wait(), 10)
    assert outcome.code == 0, outcome.err
    assert "Stopped early: No answer still to come could change the outcome." in outcome.out
    assert "cancelled" in outcome.out


async def test_weight_makes_the_panel_weighted(tmp_path: Path) -> None:
    """`MODEL=WEIGHT` needs no `--strategy`, and decides against more members."""
    async with models(a="Paris", b="Lyon", c="Lyon") as server:
        outcome = await consensus(
            tmp_path, server, "--panel", "local/a=2.5, local/b", "--panel", "local/c"
        )
    assert outcome.code == 0, outcome.err
    assert "Decided: 1 of 3 members, with 56% of the weight, agree.\n\nParis\n" in outcome.out


async def test_labels_and_quorum(tmp_path: Path) -> None:
    """Labels reach the models, and the quorum is kept."""
    async with models(a="It is big.", b="big", c="huge") as server:
        labels = ("--label", "big", "--label", "small")
        outcome = await consensus(tmp_path, server, *ABC, *labels, "--quorum=2")
        strict = await consensus(tmp_path, server, *ABC, *labels, "--quorum=3", "--hear-all")
    assert outcome.code == 0, outcome.err
    assert '"big", "small"' in server.requests[0].json["messages"][0]["content"]
    assert strict.code == 1
    assert "2 of 3 members voted, and the quorum is 3." in strict.out


async def test_options_are_ranked(tmp_path: Path) -> None:
    """`--option` needs no `--strategy`; the runoff decides."""
    async with models(a='["x", "y"]', b='["y", "x"]', c='["y"]') as server:
        outcome = await consensus(tmp_path, server, *ABC, "--option=x", "--option=y", "--hear-all")
    assert outcome.code == 0, outcome.err
    assert "x > y" in outcome.out
    assert "`y` has 2 of 3 ballots in round 1.\n\ny\n" in outcome.out


async def test_judge_chooses(tmp_path: Path) -> None:
    """`--judge` needs no `--strategy`; the judge has a line of its own."""
    verdict = '{"choice": 1, "reason": "It is clear."}'
    async with models(a="Paris", b="Paris", j=verdict) as server:
        outcome = await consensus(
            tmp_path, server, "--panel=local/a,local/b", "--judge=local/j", "--max-cost=1"
        )
    assert outcome.code == 0, outcome.err
    assert "local/j (judge)  chose local/" in outcome.out
    assert ": It is clear.\n\nParis\n" in outcome.out


async def test_panel_is_chosen_where_none_is_named(tmp_path: Path) -> None:
    """Without `--panel` the best models that can be asked are; too few are wrong use."""
    async with models(one="Paris", two="Paris") as server:
        outcome = await consensus(tmp_path, server, "--members=2")
        few = await consensus(tmp_path, server)
    assert (outcome.code, "\n\nParis\n" in outcome.out) == (0, True), outcome.err
    asked = {one.json["model"] for one in server.requests if one.method == "POST"}
    assert asked == {"one", "two"}
    assert few.code == 2
    assert "A panel of 3 was asked for, and only 2 models can be asked." in few.err


async def test_members_are_of_different_providers(tmp_path: Path) -> None:
    """Without `--panel` no provider has two members while another has none."""
    async with models(one="Paris", two="Paris") as local, models() as groq:
        outcome = await run(
            tmp_path,
            *("consensus", "Capital?", "--members=2", "--hear-all", "--format=json"),
            LATTICE_LOCK_LOCAL_URL=local.url,
            GROQ_API_KEY="k",
            GROQ_BASE_URL=groq.url,
        )
    assert outcome.code == 0, outcome.err
    assert {vote["model"]["provider"] for vote in outcome.json["votes"]} == {"local", "groq"}


async def test_interrupt_ends_every_call(tmp_path: Path) -> None:
    """Ctrl-C while the panel thinks ends with 130, and the models are hung up on."""
    async with (
        models(a=None, b=None) as server,
        started(
            tmp_path,
            *("consensus", "?", "--panel", "local/a,local/b"),
            LATTICE_LOCK_LOCAL_URL=server.url,
        ) as process,
    ):
        async with asyncio.timeout(60):
            while len(server.requests) < 2:  # the server has no event for it
                assert process.returncode is None
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        outcome = await finished(process)
        await asyncio.wait_for(server.hung_up.wait(), 10)
    assert (outcome.code, outcome.out) == (130, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--panel=local/a",), "A panel of one cannot come to a consensus."),
        (("--panel=local/a,local/a",), "`local/a` is twice on the panel."),
        (("--panel=local/a,local/b=x",), "`local/b=x`: `x` is no weight."),
        (("--panel=local/a,local/b=0",), "`0` is no weight for `local/b`."),
        (("--panel=local/a,",), "A name in `--panel` is empty."),
        (("--panel=",), "A name in `--panel` is empty."),
        (("--panel=local/a,nowhere",), "No model `nowhere` is known."),
        (("--panel=local/a=2,local/b", "--strategy=majority"), "Weights do not count"),
        (("--panel=local/a,local/b", "--members=2"), "`--panel` names them"),
        (("--panel=local/a,local/b", "--label=x"), "`labels` must be at least two"),
        (("--panel=local/a,local/b", "--strategy=judge"), "need one another"),
        (("--panel=local/a,local/b", "--max-cost=-1"), "not an amount of money"),
        (("--panel=local/a,local/b", "--quorum=3"), "`quorum` is 3"),
    ],
)
def test_wrong_use_asks_nobody(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lattice_lock: Callable[..., Outcome],
) -> None:
    """What cannot be decided is said at once, and nothing is on standard output."""
    for name, value in isolated(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    outcome = lattice_lock("consensus", "Capital?", *arguments)
    assert (outcome.code in {1, 2}, outcome.out) == (True, "")
    assert message in outcome.err
    assert "voted" not in outcome.err


def test_empty_prompt_is_refused(lattice_lock: Callable[..., Outcome]) -> None:
    """A prompt of blanks is wrong use."""
    outcome = lattice_lock("consensus", " \n", *ABC)
    assert (outcome.code, "The prompt is empty." in outcome.err) == (2, True)


async def test_absent_member_says_what_to_do(tmp_path: Path) -> None:
    """A member that cannot be asked is told with its reason and hint, and the rest decides."""
    async with models(a="Paris", b="Paris") as server:
        outcome = await consensus(
            tmp_path, server, "--panel=local/a,openai/gpt-5-mini,local/b", "--hear-all"
        )
    assert outcome.code == 0, outcome.err
    assert "absent: `openai` is not set up." in outcome.out
    assert "OPENAI_API_KEY" in outcome.out


async def test_fields_of_members_do_not_drive_the_terminal(tmp_path: Path) -> None:
    """What models say is shown without control characters, and long votes only in part."""
    async with models(a="\x1b[2J" + "x" * 99, b="y") as server:
        outcome = await consensus(tmp_path, server, "--panel=local/a,local/b")
    assert "\x1b" not in outcome.out
    assert "\\x1b[2J" + "x" * 55 + "…" in outcome.out
