"""Signatures of AWS requests, made by botocore away from the event loop.

Looking for credentials reads files, starts processes and asks servers, and botocore itself takes a
fifth of a second to import: so all of it happens in threads, and botocore is imported only here.

Source of the scheme: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lattice_lock.exceptions import ProviderUnavailableError
from lattice_lock.settings import Secret

if TYPE_CHECKING:
    from lattice_lock.providers.transport import HttpRequest
    from lattice_lock.settings import Settings

__all__ = ["AwsSigner", "botocore_is_installed"]

_SERVICE = "bedrock"
# Variables of the settings that change where botocore looks.
_WHERE = {"AWS_CONFIG_FILE": "config_file", "AWS_SHARED_CREDENTIALS_FILE": "credentials_file"}


def botocore_is_installed() -> bool:
    """Whether the extra `bedrock` is installed; imports nothing."""
    return find_spec("botocore") is not None


class AwsSigner:
    """Finds credentials once, renews them when they expire, and signs requests of one region.

    A key pair in the settings comes first, then whatever botocore finds: a profile, a process,
    single sign-on, the role of a container or of a machine.
    """

    def __init__(self, settings: Settings, region: str) -> None:
        self._settings = settings
        self._region = region
        self._credentials: Any = None
        self._looking = asyncio.Lock()
        self.secrets: tuple[Secret, ...] = ()
        """What the last signature was made with, and no error may show."""

    async def sign(self, request: HttpRequest) -> dict[str, Secret]:
        """The headers that prove who sends `request`, its body and content type included.

        Raises:
            ProviderUnavailableError: there are no credentials, or they cannot be read.
        """
        async with self._looking:
            if self._credentials is None:
                self._credentials = await asyncio.to_thread(self._find, request)
        return await asyncio.to_thread(self._sign, request)

    def _find(self, request: HttpRequest) -> Any:  # noqa: ANN401  # botocore has no types
        from botocore.credentials import Credentials  # noqa: PLC0415  # optional and slow
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415

        settings = self._settings
        key, secret = settings.text("AWS_ACCESS_KEY_ID"), settings.text("AWS_SECRET_ACCESS_KEY")
        if key and secret:
            return Credentials(key, secret, settings.text("AWS_SESSION_TOKEN"))
        try:
            session = Session(profile=settings.text("AWS_PROFILE"))
            for variable, name in _WHERE.items():
                if value := settings.text(variable):
                    session.set_config_variable(name, value)
            found = session.get_credentials()
        except (BotoCoreError, ClientError) as error:
            raise _unreadable(request, error) from None
        if found is None:
            raise _failure(request, "There are no AWS credentials.")
        return found

    def _sign(self, request: HttpRequest) -> dict[str, Secret]:
        from botocore.auth import SigV4Auth  # noqa: PLC0415
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            frozen = self._credentials.get_frozen_credentials()
        except (BotoCoreError, ClientError) as error:
            raise _unreadable(request, error) from None
        self.secrets = tuple(Secret(text) for text in (frozen.secret_key, frozen.token) if text)
        kind = request.headers.get("Content-Type")
        signed = AWSRequest(
            method=request.method,
            url=request.url,
            data=request.body,
            headers={"Content-Type": kind} if kind else {},
        )
        SigV4Auth(frozen, _SERVICE, self._region).add_auth(signed)
        return {
            name: Secret(value) for name, value in signed.headers.items() if name != "Content-Type"
        }


def _unreadable(request: HttpRequest, error: Exception) -> ProviderUnavailableError:
    # The text may quote what a credential process has printed.
    return _failure(request, f"The AWS credentials cannot be read: {type(error).__name__}.")


def _failure(request: HttpRequest, message: str) -> ProviderUnavailableError:
    return ProviderUnavailableError(
        message,
        provider=request.provider,
        model=request.model,
        hint="Set `AWS_BEARER_TOKEN_BEDROCK`, `AWS_PROFILE`, or `AWS_ACCESS_KEY_ID` with "
        "`AWS_SECRET_ACCESS_KEY`; `aws sts get-caller-identity` shows what AWS's own tools find.",
    )
