"""Every error that Lattice Lock raises on purpose.

    LatticeLockError                     LL-000
    - LatticeError                       LL-100  a lattice cannot be used
      + LatticeSyntaxError               LL-101  not the YAML subset a lattice is written in
      + LatticeSchemaError               LL-102  readable, but says something a lattice cannot say
      + ExpressionError                  LL-103  a clause outside the expression language
    - CompileError                       LL-110  a valid lattice that cannot be compiled
      + VacuousContractError             LL-111  a contract that tests nothing
      + UnsupportedByTargetError         LL-112  an output cannot express what the lattice says
      + HandWrittenFileError             LL-113  would overwrite what a person wrote
    - LockfileError                      LL-120  `lattice.lock` is unreadable
    - ProjectError                       LL-130  the project folder cannot be used
      + ProjectNotFoundError             LL-131
      + ProjectBusyError                 LL-132  another command is changing the project
      + ProjectWriteError                LL-133  read-only folder, full disk
    - SheriffError                       LL-200  the static check could not run
    - GauntletError                      LL-300  the contract check could not run
      + SandboxUnavailableError          LL-301
      + JudgeError                       LL-302  the judging process failed, so there is no verdict
    - PolicyError                        LL-400
      + InvalidPolicyError               LL-401  a policy that cannot be loaded
      + PolicyViolationError             LL-402  a policy said no
    - APIClientError                     LL-500  provider, model, request id, status, attempt
      + ProviderConnectionError          LL-501  retryable
        * ProviderTimeoutError           LL-502  retryable
        * IncompleteStreamError          LL-503  retryable
      + ProviderUnavailableError         LL-504  no key, not installed, or breaker open
      + AuthenticationError              LL-510
      + PermissionDeniedError            LL-511
      + QuotaExhaustedError              LL-512
      + RateLimitError                   LL-513  retryable, retry_after_s
      + OverloadedError                  LL-514  retryable, retry_after_s
      + ServerError                      LL-515  retryable
      + ModelNotAvailableError           LL-520  successor
      + InvalidRequestError              LL-521  parameter
        * ContextLengthError             LL-522
      + ContentFilteredError             LL-523
      + ConflictError                    LL-524  retryable
      + InvalidResponseError             LL-525  the provider answered something unreadable
      + AnswerRefusedError               LL-526  a policy refuses it, and asks another model
    - AllProvidersFailedError            LL-530  an exception group with every cause
    - OrchestratorError                  LL-540
      + BudgetExceededError              LL-541  the call might cost more than is left
      + NoCandidateError                 LL-542  no model can and may answer
      + ConsensusError                   LL-543  a panel came to no decision
      + ChainError                       LL-544  a chain cannot be run as it is
        * ChainStepError                 LL-546  a step of it failed
      + ToolLoopError                    LL-545  a limit on rounds, time or cost was reached
    - BuildError                         LL-600  a build could not run
    - AuthError                          LL-700
    - StorageError                       LL-750
    - ConfigurationError                 LL-801  a setting or environment variable is wrong
    - UsageError                         LL-802  a command was called wrongly
    - ModelDownloadError                 LL-810  model weights could not be fetched or verified
    - InternalError                      LL-900  a defect in Lattice Lock itself

What is found *in a project* (a Sheriff violation, a refuted contract, drift) is a value, not an
exception: see `sheriff.rule.Violation`, `gauntlet.verdict.TestVerdict` and `core.drift.Drift`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "APIClientError",
    "AllProvidersFailedError",
    "AnswerRefusedError",
    "AuthError",
    "AuthenticationError",
    "BudgetExceededError",
    "BuildError",
    "ChainError",
    "ChainStepError",
    "CompileError",
    "ConfigurationError",
    "ConflictError",
    "ConsensusError",
    "ContentFilteredError",
    "ContextLengthError",
    "ExpressionError",
    "GauntletError",
    "HandWrittenFileError",
    "IncompleteStreamError",
    "InternalError",
    "InvalidPolicyError",
    "InvalidRequestError",
    "InvalidResponseError",
    "JudgeError",
    "LatticeError",
    "LatticeLockError",
    "LatticeSchemaError",
    "LatticeSyntaxError",
    "LockfileError",
    "ModelDownloadError",
    "ModelNotAvailableError",
    "NoCandidateError",
    "OrchestratorError",
    "OverloadedError",
    "PermissionDeniedError",
    "PolicyError",
    "PolicyViolationError",
    "Problem",
    "ProjectBusyError",
    "ProjectError",
    "ProjectNotFoundError",
    "ProjectWriteError",
    "ProviderConnectionError",
    "ProviderTimeoutError",
    "ProviderUnavailableError",
    "QuotaExhaustedError",
    "RateLimitError",
    "SandboxUnavailableError",
    "ServerError",
    "SheriffError",
    "SourceLocation",
    "StorageError",
    "ToolLoopError",
    "UnsupportedByTargetError",
    "UsageError",
    "VacuousContractError",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLocation:
    """A place in a text file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int

    @override
    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with an input: where, what, and what to write instead."""

    location: SourceLocation
    message: str
    hint: str | None = None

    @override
    def __str__(self) -> str:
        text = f"{self.location}: {self.message}"
        return f"{text} {self.hint}" if self.hint else text


def _restore(
    cls: type[LatticeLockError], args: tuple[object, ...], state: dict[str, object]
) -> LatticeLockError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class LatticeLockError(Exception):
    """Base of every deliberate error.

    Attributes:
        code: stable identifier, listed in `ERROR_CODES.md`.
        retryable: whether the same call may succeed later without a change.
        http_status: status with which a gateway answers.
        exit_code: process exit code of the command line (1 findings, 2 wrong use, 3 internal).
        hint: what to do next, as a sentence; None where the message says it already.
    """

    code: ClassVar[str] = "LL-000"
    retryable: ClassVar[bool] = False
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 2

    hint: str | None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def message(self) -> str:
        """What was wrong, without code and hint."""
        return str(self.args[0])

    @override
    def __str__(self) -> str:
        text = f"[{self.code}] {self.message}"
        return f"{text} {self.hint}" if self.hint else text

    @override
    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only constructors break the default protocol, which replays `args` alone.
        return _restore, (type(self), self.args, dict(self.__dict__))


class _LocatedError(LatticeLockError):
    """An error that lists what is wrong with an input, each at its place."""

    problems: tuple[Problem, ...]

    def __init__(self, problems: Iterable[Problem], *, hint: str | None = None) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems), hint=hint)


class LatticeError(_LocatedError):
    """A lattice cannot be used; `problems` lists every reason with its place."""

    code: ClassVar[str] = "LL-100"
    http_status: ClassVar[int] = 422


class LatticeSyntaxError(LatticeError):
    """The file is not the YAML subset that a lattice is written in."""

    code: ClassVar[str] = "LL-101"


class LatticeSchemaError(LatticeError):
    """The file is readable YAML but says something that a lattice cannot say."""

    code: ClassVar[str] = "LL-102"


class ExpressionError(LatticeError):
    """A clause is outside the expression language or does not fit the lattice's types."""

    code: ClassVar[str] = "LL-103"


class CompileError(_LocatedError):
    """A valid lattice cannot be compiled; `problems` lists every reason with its place."""

    code: ClassVar[str] = "LL-110"
    http_status: ClassVar[int] = 422


class VacuousContractError(CompileError):
    """A contract tests nothing: no input satisfies it, or nothing can break it."""

    code: ClassVar[str] = "LL-111"


class UnsupportedByTargetError(CompileError):
    """An output cannot express what the lattice says, and dropping it would be a lie."""

    code: ClassVar[str] = "LL-112"


class HandWrittenFileError(CompileError):
    """Writing would overwrite what a person has written."""

    code: ClassVar[str] = "LL-113"


class LockfileError(LatticeLockError):
    """`lattice.lock` cannot be read or has an unknown format."""

    code: ClassVar[str] = "LL-120"


class ProjectError(LatticeLockError):
    """The project folder cannot be used."""

    code: ClassVar[str] = "LL-130"


class ProjectNotFoundError(ProjectError):
    """There is no `lattice.yaml` where one was expected."""

    code: ClassVar[str] = "LL-131"


class ProjectBusyError(ProjectError):
    """Another command is changing the same project."""

    code: ClassVar[str] = "LL-132"
    retryable: ClassVar[bool] = True


class ProjectWriteError(ProjectError):
    """A file could not be written; every file is as it was before."""

    code: ClassVar[str] = "LL-133"


class SheriffError(LatticeLockError):
    """The static check could not run."""

    code: ClassVar[str] = "LL-200"


class GauntletError(LatticeLockError):
    """The contract check could not run."""

    code: ClassVar[str] = "LL-300"


class SandboxUnavailableError(GauntletError):
    """Nothing on this machine can confine untrusted code."""

    code: ClassVar[str] = "LL-301"


class JudgeError(GauntletError):
    """The judging process failed, so there is no verdict."""

    code: ClassVar[str] = "LL-302"
    exit_code: ClassVar[int] = 3


class PolicyError(LatticeLockError):
    """Base of everything that concerns policies."""

    code: ClassVar[str] = "LL-400"


class InvalidPolicyError(PolicyError, _LocatedError):
    """A policy cannot be loaded; `problems` lists every reason with its place."""

    code: ClassVar[str] = "LL-401"
    http_status: ClassVar[int] = 422


class PolicyViolationError(PolicyError):
    """A policy refused code, a prompt or a response.

    Attributes:
        policy: name of the policy that refused.
        rule: the rule within it.
    """

    code: ClassVar[str] = "LL-402"
    http_status: ClassVar[int] = 403
    exit_code: ClassVar[int] = 1

    policy: str
    rule: str | None

    def __init__(
        self, message: str, *, policy: str, rule: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.policy = policy
        self.rule = rule


class APIClientError(LatticeLockError):
    """A call to a model failed.

    Attributes:
        provider: provider id, such as `local`.
        model: model name without the provider, None where the call concerns no model.
        request_id: the provider's own id for the request.
        status: HTTP status that the provider answered with.
        provider_code: the provider's own error code or type.
        attempt: number of the attempt that failed, counted from 1.
        retry_after_s: seconds the provider asked to wait, already bounded.
        should_retry: the provider's own word on whether to repeat the request, above `retryable`.
    """

    code: ClassVar[str] = "LL-500"
    http_status: ClassVar[int] = 502
    exit_code: ClassVar[int] = 1

    provider: str
    model: str | None
    request_id: str | None
    status: int | None
    provider_code: str | None
    attempt: int | None
    retry_after_s: float | None
    should_retry: bool | None = None

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        model: str | None = None,
        request_id: str | None = None,
        status: int | None = None,
        provider_code: str | None = None,
        attempt: int | None = None,
        retry_after_s: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.provider = provider
        self.model = model
        self.request_id = request_id
        self.status = status
        self.provider_code = provider_code
        self.attempt = attempt
        self.retry_after_s = retry_after_s


class ProviderConnectionError(APIClientError):
    """No answer: name resolution, TCP, TLS, or a connection that broke."""

    code: ClassVar[str] = "LL-501"
    retryable: ClassVar[bool] = True


class ProviderTimeoutError(ProviderConnectionError):
    """A deadline passed: connect, first token, idle or total."""

    code: ClassVar[str] = "LL-502"
    http_status: ClassVar[int] = 504


class IncompleteStreamError(ProviderConnectionError):
    """A stream ended without its terminal event."""

    code: ClassVar[str] = "LL-503"


class ProviderUnavailableError(APIClientError):
    """The provider cannot be called at all: no key, not installed, or shut out by its breaker."""

    code: ClassVar[str] = "LL-504"
    http_status: ClassVar[int] = 503


class AuthenticationError(APIClientError):
    """The provider refused the key."""

    code: ClassVar[str] = "LL-510"


class PermissionDeniedError(APIClientError):
    """The key is valid but may not do this."""

    code: ClassVar[str] = "LL-511"


class QuotaExhaustedError(APIClientError):
    """Credit or a long-term quota is used up; waiting seconds does not help."""

    code: ClassVar[str] = "LL-512"
    http_status: ClassVar[int] = 429


class RateLimitError(APIClientError):
    """Too many requests for now; `retry_after_s` says how long to wait where it is known."""

    code: ClassVar[str] = "LL-513"
    retryable: ClassVar[bool] = True
    http_status: ClassVar[int] = 429


class OverloadedError(APIClientError):
    """The provider or the model is overloaded or still loading."""

    code: ClassVar[str] = "LL-514"
    retryable: ClassVar[bool] = True
    http_status: ClassVar[int] = 503


class ServerError(APIClientError):
    """The provider failed inside."""

    code: ClassVar[str] = "LL-515"
    retryable: ClassVar[bool] = True


class ModelNotAvailableError(APIClientError):
    """The model does not exist, is retired, or is not open to this key.

    Attributes:
        successor: model to use instead, where one is known.
    """

    code: ClassVar[str] = "LL-520"
    http_status: ClassVar[int] = 404

    successor: str | None = None


class InvalidRequestError(APIClientError):
    """The request cannot succeed as it is.

    Attributes:
        parameter: the offending parameter, where it is known.
    """

    code: ClassVar[str] = "LL-521"
    http_status: ClassVar[int] = 400

    parameter: str | None = None


class ContextLengthError(InvalidRequestError):
    """Prompt and answer together exceed the model's context window."""

    code: ClassVar[str] = "LL-522"


class ContentFilteredError(APIClientError):
    """The provider's own filter refused the prompt."""

    code: ClassVar[str] = "LL-523"
    http_status: ClassVar[int] = 400


class ConflictError(APIClientError):
    """The provider reported a conflict; one repetition may succeed."""

    code: ClassVar[str] = "LL-524"
    retryable: ClassVar[bool] = True


class InvalidResponseError(APIClientError):
    """The provider answered something that is not its own format."""

    code: ClassVar[str] = "LL-525"


class AnswerRefusedError(APIClientError):
    """A policy refused the answer and wants another model to be asked; the cause says why."""

    code: ClassVar[str] = "LL-526"
    http_status: ClassVar[int] = 403


class AllProvidersFailedError(LatticeLockError, ExceptionGroup[APIClientError]):
    """Every candidate failed; `exceptions` holds each cause in the order tried."""

    code: ClassVar[str] = "LL-530"
    http_status: ClassVar[int] = 502
    exit_code: ClassVar[int] = 1

    def __new__(
        cls,
        message: str,
        exceptions: Sequence[APIClientError],
        *,
        hint: str | None = None,  # noqa: ARG004  # `__new__` sees what `__init__` gets
    ) -> Self:
        """Build the group; `hint` is kept by `__init__`."""
        return ExceptionGroup.__new__(cls, message, exceptions)

    def __init__(
        self, message: str, exceptions: Sequence[APIClientError], *, hint: str | None = None
    ) -> None:
        ExceptionGroup.__init__(self, message, exceptions)
        self.hint = hint

    @override
    def derive(  # type: ignore[override]  # a part of this group is again such a group
        self, excs: Sequence[APIClientError]
    ) -> AllProvidersFailedError:
        return AllProvidersFailedError(self.message, excs, hint=self.hint)

    @override
    def __str__(self) -> str:
        causes = "; ".join(str(error) for error in self.exceptions)
        return f"{LatticeLockError.__str__(self)} Tried: {causes}"


class OrchestratorError(LatticeLockError):
    """Base of what keeps a model from being chosen, paid for or combined with others."""

    code: ClassVar[str] = "LL-540"


class BudgetExceededError(OrchestratorError):
    """The call might cost more than its budget has left, so it was not made."""

    code: ClassVar[str] = "LL-541"
    http_status: ClassVar[int] = 402
    exit_code: ClassVar[int] = 1


class NoCandidateError(OrchestratorError):
    """No known model can and may answer the request; the message says why for the nearest ones."""

    code: ClassVar[str] = "LL-542"
    http_status: ClassVar[int] = 503
    exit_code: ClassVar[int] = 1


class ConsensusError(OrchestratorError):
    """A panel came to no decision: too few members answered, or they disagree."""

    code: ClassVar[str] = "LL-543"
    http_status: ClassVar[int] = 502
    exit_code: ClassVar[int] = 1


class ChainError(OrchestratorError):
    """A chain, its inputs or its state file are wrong; the message says where."""

    code: ClassVar[str] = "LL-544"
    http_status: ClassVar[int] = 422


class ChainStepError(ChainError):
    """A step of a chain failed; the cause is chained, and what was answered is in the state file.

    Attributes:
        step: the step; of several that were running when the time was over, the first.
        item: number of the item, counted from 1; None where it concerns the step as a whole.
    """

    code: ClassVar[str] = "LL-546"
    http_status: ClassVar[int] = 502
    exit_code: ClassVar[int] = 1

    step: str
    item: int | None

    def __init__(
        self, message: str, *, step: str, item: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.step = step
        self.item = item


class ToolLoopError(OrchestratorError):
    """A model kept calling tools until a limit on rounds, time or cost was reached.

    Attributes:
        messages: the conversation so far, a `messages.Message` each; every call has its result.
    """

    code: ClassVar[str] = "LL-545"
    http_status: ClassVar[int] = 502
    exit_code: ClassVar[int] = 1

    messages: tuple[Any, ...] = ()  # this module stands below that of messages


class BuildError(LatticeLockError):
    """A build could not run."""

    code: ClassVar[str] = "LL-600"


class AuthError(LatticeLockError):
    """A caller could not be authenticated or may not do what was asked."""

    code: ClassVar[str] = "LL-700"
    http_status: ClassVar[int] = 401


class StorageError(LatticeLockError):
    """A storage backend failed."""

    code: ClassVar[str] = "LL-750"


class ConfigurationError(LatticeLockError):
    """A setting or an environment variable is wrong."""

    code: ClassVar[str] = "LL-801"


class UsageError(LatticeLockError):
    """A command was called wrongly."""

    code: ClassVar[str] = "LL-802"


class ModelDownloadError(LatticeLockError):
    """Model weights could not be fetched or did not have the expected hash."""

    code: ClassVar[str] = "LL-810"


class InternalError(LatticeLockError):
    """A defect in Lattice Lock itself; please report it."""

    code: ClassVar[str] = "LL-900"
    exit_code: ClassVar[int] = 3
