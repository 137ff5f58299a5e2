"""The environment and the project's `.env` file, read once.

A variable of the environment wins over the same variable in `.env`; neither is ever changed, and
`$NAME` inside `.env` is text. Every value stays wrapped in a `Secret` until someone asks for it by
name, so a `Settings` can be printed or logged.

| variable | means | default |
|---|---|---|
| `LATTICE_LOCK_DATA_DIR` | folder for model weights and local state | the user's data folder |
| `LATTICE_LOCK_SECRETS_DIR` | folder with a file for each variable | none |
| `LATTICE_LOCK_SECRET_SOURCE` | name of an installed source of secrets | none |
| `LATTICE_LOCK_MODELS_FILE` | models of your own for the registry, one JSON object a line | none |
| `LATTICE_LOCK_POLICIES_FILE` | policies besides those of `lattice.yaml` | none |
| `LATTICE_LOCK_EMBEDDED_MODELS` | `name=/path.gguf,...`, models that run in this machine | none |
| `LATTICE_LOCK_EMBEDDED_CONTEXT_TOKENS` | context window of embedded models | 4096 |
| `LATTICE_LOCK_LOCAL_URL` | OpenAI-compatible server, such as `http://localhost:8000/v1` | Ollama |
| `LATTICE_LOCK_LOCAL_API_KEY` | its key, where it wants one | none |
| `OLLAMA_HOST` | where Ollama listens, as Ollama itself reads it | `127.0.0.1:11434` |
| `ANTHROPIC_API_KEY` | key of Anthropic | none |
| `ANTHROPIC_BASE_URL` | where Anthropic's API is, without `/v1` | `https://api.anthropic.com` |
| `LATTICE_LOCK_ANTHROPIC_VERSION` | version of that API | `2026-10-21` |
| `GOOGLE_API_KEY`, else `GEMINI_API_KEY` | key of Google's Gemini API | none |
| `GOOGLE_GEMINI_BASE_URL` | where that API is | `https://generativelanguage.googleapis.com` |
| `GOOGLE_GENAI_API_VERSION` | its version: `v1`, or `beta` for `v1beta` | `v1` |
| `OPENAI_API_KEY` | key of OpenAI | none |
| `OPENAI_BASE_URL` | where its API is, such as a regional one | `https://api.openai.com/v1` |
| `OPENAI_ORG_ID`, `OPENAI_PROJECT_ID` | organization and project that pay | those of the key |
| `LATTICE_LOCK_OPENAI_API` | `responses` or `chat`, for every model of `openai` | by model |
| `XAI_API_KEY`, `XAI_BASE_URL` | key of xAI, and where its API is | `https://api.x.ai/v1` |
| `AZURE_OPENAI_ENDPOINT` | resource in Azure | none |
| `AZURE_OPENAI_AD_TOKEN`, else `AZURE_OPENAI_API_KEY` | what opens it | none |
| `OPENAI_API_VERSION` | dated version of its API | the undated v1 |
| `LATTICE_LOCK_AZURE_API` | the same for `azure` | by deployment name |
| `LATTICE_LOCK_XAI_API` | the same for `xai` | `responses` |
| `DIAL_URL`, `DIAL_API_KEY` | EPAM's DIAL and its key | none |
| `DIAL_API_VERSION` | version for models behind it that are Azure's | `2024-10-21` |
| `<ID>_API_KEY`, `<ID>_BASE_URL` | key and address of each row of `openai_compatible` | its own |
| `LATTICE_LOCK_CA_BUNDLE`, `SSL_CERT_FILE` | authorities to trust (PEM) | the system's |
| `LATTICE_LOCK_REASONING_SUMMARY` | what OpenAI tells: `auto`, `concise` or `detailed` | none |
| `AWS_BEARER_TOKEN_BEDROCK` | key of Bedrock; else requests are signed | none |
| `AWS_REGION`, `AWS_DEFAULT_REGION` | region whose models are called | none |
| `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | keys that sign | botocore's |
| `AWS_PROFILE`, `AWS_CONFIG_FILE`, `AWS_SHARED_CREDENTIALS_FILE` | where it looks | its own |
| `AWS_ENDPOINT_URL_BEDROCK_RUNTIME`, `AWS_ENDPOINT_URL_BEDROCK` | other addresses | by region |
| `AWS_ENDPOINT_URL` | address of both, where they have none of their own | by region |

OpenAI refuses summaries of reasoning to organizations that it has not verified; so nobody gets
them unasked.
"""

from __future__ import annotations

import hmac
import io
import os
import re
from base64 import b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NoReturn, Self, TypeAlias, TypeVar, final, get_args
from urllib.parse import quote, urlsplit, urlunsplit

import platformdirs
from typing_extensions import override

from lattice_lock.exceptions import ConfigurationError
from lattice_lock.secret_sources import ask_source, find_source, read_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from lattice_lock.secret_sources import SecretSource

__all__ = ["ApiSurface", "ReasoningSummary", "Secret", "Settings"]

ApiSurface: TypeAlias = Literal["responses", "chat"]
ReasoningSummary: TypeAlias = Literal["auto", "concise", "detailed"]

_APPLICATION = "lattice-lock"
_SECRETS_DIR = "LATTICE_LOCK_SECRETS_DIR"
_OLLAMA_PORT = 11434
_DEFAULT_CONTEXT_TOKENS = 4096
_MIN_CONTEXT_TOKENS = 256
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MASK = "**********"


@final
class Secret:
    """A text that no `repr`, `str`, format or pickle reveals; only `reveal` does."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself. Keep it in no variable that outlives the request it is for."""
        return self._value

    def hidden_in(self, text: str) -> str:
        """`text` with `[key]` wherever the secret stands, also as part of an address or as base64.

        For what others wrote, such as a server that quotes the request that it refuses.
        """
        value = _bytes(self)
        packed = b64encode(value).decode()
        # From bytes, because what the environment holds may be no UTF-8.
        forms = (self._value, quote(value, safe=""), quote(value), packed, packed.rstrip("="))
        for form in forms if value else ():
            text = text.replace(form, "[key]")
        return text

    @override
    def __repr__(self) -> str:
        return f"Secret('{_MASK}')"

    @override
    def __str__(self) -> str:
        return _MASK

    @override
    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self), _bytes(other))

    @override
    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    @override
    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is never pickled.")


def _bytes(secret: Secret) -> bytes:
    # The environment may hold bytes that are no UTF-8; Python keeps them as lone surrogates.
    return secret.reveal().encode(errors="surrogatepass")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What this process was told, checked and immutable.

    Attributes:
        data_dir: folder for model weights and local state; it may not exist yet.
        embedded_models: name to GGUF file, in the order given; the files are not looked at here.
        embedded_context_tokens: context window with which an embedded model is loaded.
        local_url: base of an OpenAI-compatible server, without a trailing slash.
        openai_api: the API for every model of `openai`; None chooses by model.
        azure_api: the same for `azure`; None chooses by the deployment's name.
        xai_api: the same for `xai`; None is Responses.
        reasoning_summary: what OpenAI is asked to tell of a model's reasoning, None for nothing.
    """

    data_dir: Path
    embedded_models: Mapping[str, Path]
    embedded_context_tokens: int
    local_url: str
    openai_api: ApiSurface | None
    azure_api: ApiSurface | None
    xai_api: ApiSurface | None
    reasoning_summary: ReasoningSummary | None
    _values: Mapping[str, Secret] = field(repr=False)

    @classmethod
    def load(
        cls,
        *,
        environment: Mapping[str, str] | None = None,
        dotenv: Path | None = None,
        secrets: SecretSource | None = None,
    ) -> Self:
        """Settings of this process, read now; it may block, so not for a running event loop.

        What is in the environment wins, then what a secret manager gives, then the folder of
        `LATTICE_LOCK_SECRETS_DIR`, then `.env`.

        Args:
            environment: what to read in place of `os.environ`.
            dotenv: file to read in place of `.env` in the working folder; it may be absent.
            secrets: what to ask in place of `LATTICE_LOCK_SECRET_SOURCE`.

        Raises:
            ConfigurationError: a value is wrong, or a source cannot be read; the message names
                the variable and the form.
        """
        given = _read_dotenv(dotenv if dotenv is not None else Path(".env"))
        outer = dict(os.environ if environment is None else environment)
        values = {
            name: Secret(value)
            for name, value in (given | _from_sources(given | outer, secrets) | outer).items()
        }
        text = {name: value.reveal() for name, value in values.items() if value}
        return cls(
            data_dir=_data_dir(text.get("LATTICE_LOCK_DATA_DIR")),
            embedded_models=_embedded_models(text.get("LATTICE_LOCK_EMBEDDED_MODELS", "")),
            embedded_context_tokens=_context_tokens(
                text.get("LATTICE_LOCK_EMBEDDED_CONTEXT_TOKENS")
            ),
            local_url=_local_url(text),
            openai_api=_choice(text, "LATTICE_LOCK_OPENAI_API", _SURFACES),
            azure_api=_choice(text, "LATTICE_LOCK_AZURE_API", _SURFACES),
            xai_api=_choice(text, "LATTICE_LOCK_XAI_API", _SURFACES),
            reasoning_summary=_choice(text, "LATTICE_LOCK_REASONING_SUMMARY", _SUMMARIES),
            _values=MappingProxyType(values),
        )

    def text(self, name: str) -> str | None:
        """The variable `name`, None where it is absent or empty."""
        value = self._values.get(name)
        return value.reveal() if value else None

    def secret(self, name: str) -> Secret | None:
        """The variable `name` without revealing it, None where it is absent or empty."""
        return self._values.get(name) or None

    def base_url(self, name: str) -> str | None:
        """The variable `name` as the base of an HTTP API, None where it is absent or empty.

        Raises:
            ConfigurationError: it is no such address.
        """
        value = self.text(name)
        return None if value is None else parse_base_url(name, value)


@lru_cache(maxsize=64)  # asked for with every call
def parse_base_url(variable: str, value: str) -> str:
    """`value` as the base of an HTTP API, without a trailing slash.

    Raises:
        ConfigurationError: it is no http(s) address, or it carries credentials, query or fragment.
    """
    form = "Write an address such as `http://localhost:8000/v1`."
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        # The cause quotes the value, which may hold a password.
        raise ConfigurationError(f"`{variable}` is not an address.", hint=form) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"`{variable}` is not an http or https address.", hint=form)
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            f"`{variable}` carries a user name or password.",
            hint="Give the key in its own variable, where nothing prints it.",
        )
    if parts.query or parts.fragment or port == 0:
        raise ConfigurationError(f"`{variable}` is not the base of an API.", hint=form)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def _read_dotenv(path: Path) -> dict[str, str]:
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"`{path}` cannot be read: {_reason(error)}.",
            hint="It should be a UTF-8 text file with one `NAME=value` on each line.",
        ) from None
    # Imported here because most projects have no `.env` and the import costs as much as ours.
    from dotenv import dotenv_values  # noqa: PLC0415

    values = dotenv_values(stream=io.StringIO(content), interpolate=False)
    return {name: value for name, value in values.items() if value is not None}


def _from_sources(text: Mapping[str, str], secrets: SecretSource | None) -> dict[str, str]:
    """What folder and secret manager give, the manager's word first."""
    found: dict[str, str] = {}
    if folder := text.get(_SECRETS_DIR):
        found = read_folder(_expand(_SECRETS_DIR, folder), variable=_SECRETS_DIR)
    if secrets is None and (name := text.get("LATTICE_LOCK_SECRET_SOURCE")):
        secrets = find_source(name)
    return found | ask_source(secrets) if secrets is not None else found


def _reason(error: OSError | UnicodeDecodeError) -> str:
    # The text of a decoding error, unlike its reason, may quote what the file holds.
    return error.reason if isinstance(error, UnicodeDecodeError) else f"{error.strerror}"


def _data_dir(value: str | None) -> Path:
    if value is None:
        return platformdirs.user_data_path(_APPLICATION, appauthor=False)
    path = _expand("LATTICE_LOCK_DATA_DIR", value)
    if not path.is_absolute():
        raise ConfigurationError(
            f"`LATTICE_LOCK_DATA_DIR` is `{value}`, which depends on the working folder.",
            hint="Write an absolute path.",
        )
    return path


def _embedded_models(value: str) -> Mapping[str, Path]:
    form = "Write `name=/path/to/model.gguf`, several separated by commas."
    models: dict[str, Path] = {}
    for entry in filter(None, (part.strip() for part in value.split(","))):
        name, equals, path = (part.strip() for part in entry.partition("="))
        if not equals or not path or not _MODEL_NAME.fullmatch(name):
            raise ConfigurationError(
                f"`LATTICE_LOCK_EMBEDDED_MODELS` contains `{entry}`.", hint=form
            )
        if name in models:
            raise ConfigurationError(
                f"`LATTICE_LOCK_EMBEDDED_MODELS` names `{name}` twice.", hint=form
            )
        models[name] = _expand("LATTICE_LOCK_EMBEDDED_MODELS", path).absolute()
    return MappingProxyType(models)


def _expand(variable: str, path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigurationError(
            f"`{variable}`: {error}", hint="Write an absolute path."
        ) from error


def _context_tokens(value: str | None) -> int:
    if value is None:
        return _DEFAULT_CONTEXT_TOKENS
    if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) < _MIN_CONTEXT_TOKENS:
        raise ConfigurationError(
            f"`LATTICE_LOCK_EMBEDDED_CONTEXT_TOKENS` is `{value}`.",
            hint=f"Write a whole number of tokens, at least {_MIN_CONTEXT_TOKENS}.",
        )
    return int(value)


_Choice = TypeVar("_Choice", bound=str)
_SURFACES: tuple[ApiSurface, ...] = get_args(ApiSurface)
_SUMMARIES: tuple[ReasoningSummary, ...] = get_args(ReasoningSummary)


def _choice(text: Mapping[str, str], variable: str, choices: tuple[_Choice, ...]) -> _Choice | None:
    value = text.get(variable)
    if value is None:
        return None
    for choice in choices:
        if value == choice:
            return choice
    form = ", ".join(f"`{choice}`" for choice in choices)
    raise ConfigurationError(f"`{variable}` is `{value}`.", hint=f"Write one of {form}.")


def _local_url(text: Mapping[str, str]) -> str:
    if value := text.get("LATTICE_LOCK_LOCAL_URL"):
        url = parse_base_url("LATTICE_LOCK_LOCAL_URL", value)
        return url if urlsplit(url).path else f"{url}/v1"
    return f"{_ollama_url(text.get('OLLAMA_HOST', ''))}/v1"


def _ollama_url(value: str) -> str:
    """The address that `OLLAMA_HOST` means to Ollama itself.

    It may be a host, a port, both or a whole address; a bare host means port 11434, an address
    with a scheme means that scheme's own port. An address that means "every interface" to the
    server means this machine to a client.

    Source: https://docs.ollama.com/faq and `envconfig/config.go` of Ollama 0.33.
    """
    scheme, separator, rest = value.strip().partition("://")
    if not separator:
        scheme, rest = "http", value.strip()
    url = parse_base_url("OLLAMA_HOST", f"{scheme}://{_with_host(rest)}")
    parts = urlsplit(url)
    port = parts.port or (None if separator else _OLLAMA_PORT)
    return urlunsplit((parts.scheme, _authority(parts, port), parts.path, "", ""))


def _with_host(rest: str) -> str:
    return f"127.0.0.1{rest}" if not rest or rest.startswith((":", "/")) else rest


def _authority(parts: SplitResult, port: int | None) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(parts.hostname or "", parts.hostname)  # noqa: S104  # replaced, never bound
    host = f"[{host}]" if ":" in (host or "") else host
    return f"{host}:{port}" if port else f"{host}"
