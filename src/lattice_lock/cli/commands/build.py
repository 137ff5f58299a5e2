"""Have models write the missing method bodies; only what is verified is kept."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lattice_lock.agents.build import BuildLimits, BuildRequest, build
from lattice_lock.agents.progress import (
    AttemptStarted,
    BuildEvent,
    BuildReport,
    CandidateRejected,
    MethodFinished,
    MethodReport,
    MethodStarted,
    MethodStatus,
)
from lattice_lock.bootstrap import cheapest_models, open_clients, project_policies
from lattice_lock.cli.amount import max_cost_option
from lattice_lock.cli.judging import method_option, sandbox_option
from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, format_table
from lattice_lock.cli.progress import working
from lattice_lock.messages import ModelId
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from lattice_lock.messages import ChatRequest, ChatResponse
    from lattice_lock.policies.policy_set import PolicySet
    from lattice_lock.providers.base_client import BaseAPIClient

__all__ = ["command"]

_LONGEST_REASON = 300


@click.command("build")
@click.argument("path", type=click.Path(path_type=Path), default=Path())
@method_option
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="PROVIDER/NAME",
    help="Ask this model; several are asked in the order given. Without it, every embedded and"
    " local model that can run here is asked, the smallest first.",
)
@click.option(
    "--attempts",
    type=click.IntRange(min=1),
    default=BuildLimits().attempts_per_model,
    show_default=True,
    help="Candidates from one model for one method.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Bound on the whole build; what passed by then is kept.",
)
@max_cost_option("Bound on the whole build; a model of unknown price is then asked only once.")
@click.option("--replace", is_flag=True, help="Build anew what a person or a model has written.")
@sandbox_option
@format_option
def command(
    path: Path,
    methods: tuple[str, ...],
    models: tuple[str, ...],
    output_format: OutputFormat,
    *,
    attempts: int,
    timeout_s: float | None,
    max_cost_usd: Decimal | None,
    replace: bool,
    allow_unsandboxed: bool,
) -> ExitCode:
    """Have models write every method of the project at PATH that has no verified body.

    A candidate must pass Sheriff and, in a sandbox, its contracts under fresh seeds. What passed is
    written at the end, in one step; a build that is interrupted changes nothing. Exits with 1 where
    a method is left without a body.
    """
    limits = BuildLimits(attempts_per_model=attempts, duration_s=timeout_s, cost_usd=max_cost_usd)
    settings = Settings.load()
    report = asyncio.run(
        _build(
            settings,
            project_policies(settings, path),
            tuple(ModelId.parse(model) for model in models),
            lambda chat, chosen: BuildRequest(
                path=path,
                chat=chat,
                models=chosen,
                methods=methods,
                replace_written=replace,
                allow_unsandboxed=allow_unsandboxed,
                limits=limits,
            ),
        )
    )
    emit(report.to_dict(), output_format, text=lambda: _text(report))
    return ExitCode.OK if report.complete else ExitCode.FINDINGS


@dataclass(frozen=True, slots=True)
class _Models:
    """Answers each request by the client of the provider that it names."""

    clients: Mapping[str, BaseAPIClient]

    async def chat_completion(self, request: ChatRequest) -> ChatResponse:
        return await self.clients[request.model.provider].chat_completion(request)


async def _build(
    settings: Settings,
    policies: PolicySet,
    named: tuple[ModelId, ...],
    request: Callable[[_Models, tuple[ModelId, ...]], BuildRequest],
) -> BuildReport:
    chosen = named or await cheapest_models(settings)
    providers = [model.provider for model in chosen]
    async with open_clients(settings, providers, policies=policies) as clients:
        with working("Reading the project ...") as say:
            return await build(request(_Models(clients), chosen), lambda event: say(_line(event)))


def _line(event: BuildEvent) -> str:
    match event:
        case MethodStarted():
            return f"[{event.number}/{event.total}] {event.method}"
        case AttemptStarted():
            return f"  {event.method}: attempt {event.attempt}, asking {event.model} ..."
        case CandidateRejected():
            reason = event.reason.splitlines()[0] if event.reason else ""
            return f"  {event.method}: attempt {event.attempt}, rejected by {event.by}: {reason}"
        case MethodFinished():
            report = event.report
            return f"  {report.method}: {report.status.value} {report.reason}".rstrip()


def _text(report: BuildReport) -> str:
    headings = ("method", "result", "attempts", "rejected by", "accepted from", "seconds")
    parts = [format_table(headings, [_row(one) for one in report.methods])]
    failed = [one for one in report.methods if one.status is MethodStatus.FAILED]
    parts += [f"{one.method}: {one.reason[:_LONGEST_REASON]}" for one in failed]
    written = "\n".join(f"wrote {path}" for path in report.written)
    parts.append(written or "Nothing was written.")
    return "\n\n".join(parts)


def _row(report: MethodReport) -> tuple[object, ...]:
    rejections = ", ".join(f"{by.value} {count}" for by, count in report.rejections.items())
    return (
        report.method,
        report.status.value.replace("_", " "),
        report.attempts,
        rejections or None,
        report.model,
        f"{report.duration_s:.1f}",
    )
