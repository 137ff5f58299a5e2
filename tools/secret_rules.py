"""What a secret looks like: issuers' own formats first, then assignments of random-looking text.

Formats follow the issuers' documentation of their prefixes and lengths. A rule may name a check
that the matched text must pass too, so that a fixed prefix in prose is no finding.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["RULES", "Rule"]

_PLACEHOLDER = re.compile(
    rb"(?i)^(?:x+|\*+|\.+|-+|a+|0+|1+|<.*|\$.*|%.*|\{.*)$"
    rb"|example|placeholder|change[-_]?me|dummy|redacted|not[-_]a|your[-_]|^pass(?:word)?$|^secret$"
    rb"|^user(?:name)?$|^postgres$|^guest$|^root$|^test$|^key$|^token$|^pw$"
)
_MIN_ENTROPY_BITS = 3.4
_MIN_SECRET_CHARS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A pattern for one kind of secret; group `secret`, where there is one, is the secret part."""

    name: str
    pattern: re.Pattern[bytes]
    is_real: Callable[[bytes], bool] = lambda _: True

    def matches(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Offset and text of every secret in `data`."""
        group = "secret" if "secret" in self.pattern.groupindex else 0
        for match in self.pattern.finditer(data):
            if self.is_real(match[group]):
                yield match.start(group), match[group]


def _entropy_bits(text: bytes) -> float:
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def _is_varied(text: bytes) -> bool:
    """Whether `text` is neither a placeholder nor one sign repeated."""
    return not _PLACEHOLDER.search(text) and len(set(text)) > min(5, len(text) // 2)


def _is_random(text: bytes) -> bool:
    """Whether `text` looks generated: long, letters and digits mixed, few repetitions."""
    if len(text) < _MIN_SECRET_CHARS or not _is_varied(text):
        return False
    if not (re.search(rb"[0-9]", text) and re.search(rb"[A-Za-z]", text)):
        return False
    words = re.split(rb"[._/:=-]", text)
    if all(re.fullmatch(rb"[A-Za-z]*[0-9]{0,3}", word) for word in words) and len(words) > 1:
        return False  # a dotted name, a path or a slug
    return _entropy_bits(text) >= _MIN_ENTROPY_BITS


def _is_password(text: bytes) -> bool:
    letters_and_digits = re.search(rb"[0-9]", text) and re.search(rb"[A-Za-z]", text)
    return bool(letters_and_digits) and _is_varied(text)


def _is_jwt(text: bytes) -> bool:
    header = text.split(b".")[0]
    try:
        fields = json.loads(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4)))
    except (binascii.Error, ValueError):
        return False
    return isinstance(fields, dict) and "alg" in fields


def _is_basic_auth(text: bytes) -> bool:
    try:
        user, _, password = base64.b64decode(text + b"=" * (-len(text) % 4)).partition(b":")
    except (binascii.Error, ValueError):
        return False
    return bool(user) and bool(password) and user.isascii() and password.isascii()


def _rule(
    name: str,
    pattern: bytes,
    is_real: Callable[[bytes], bool] = _is_varied,
    *,
    bounded: bool = True,
) -> Rule:
    if bounded:
        pattern = rb"(?<![A-Za-z0-9_-])(?:" + pattern + rb")(?![A-Za-z0-9])"
    return Rule(name=name, pattern=re.compile(pattern), is_real=is_real)


_SECRET_NAME = (
    rb"(?i:api[_-]?key|secret(?:[_-]?key)?|token|passw(?:or)?d|passphrase|pwd|credentials?"
    rb"|access[_-]?key(?:[_-]?id)?|account[_-]?key|private[_-]?key|signing[_-]?key|auth[_-]?key)"
)
_ASSIGNED = rb"[\w.-]{0,20}[\"']?\]?\s{0,4}(?::=|=>|[:=])\s{0,4}"

RULES = (
    _rule("openai-key", rb"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,}"),
    _rule("openai-compatible-key", rb"sk-[A-Za-z0-9]{32,}"),
    _rule("anthropic-key", rb"sk-ant-[a-z]{2,8}[0-9]{2}-[A-Za-z0-9_-]{20,}"),
    _rule("openrouter-key", rb"sk-or-v1-[0-9a-f]{40,}"),
    _rule("google-api-key", rb"AIza[0-9A-Za-z_-]{35}|AQ\.[A-Za-z0-9_-]{40,}"),
    _rule("google-oauth", rb"GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{30,}"),
    _rule("xai-key", rb"xai-[A-Za-z0-9]{40,}"),
    _rule("groq-key", rb"gsk_[A-Za-z0-9]{40,}"),
    _rule("hugging-face-token", rb"hf_[A-Za-z0-9]{30,}"),
    _rule("replicate-token", rb"r8_[A-Za-z0-9]{36,}"),
    _rule("perplexity-key", rb"pplx-[A-Za-z0-9]{40,}"),
    _rule("aws-access-key", rb"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"),
    _rule("aws-bedrock-key", rb"ABSK[A-Za-z0-9+/]{60,}={0,2}|bedrock-api-key-[A-Za-z0-9+/=]{40,}"),
    _rule(
        "aws-secret-key",
        rb"(?i:aws.{0,20}?(?:secret|key).{0,20}?)[\"'=:\s]{1,5}(?P<secret>[A-Za-z0-9/+]{40})",
        _is_random,
    ),
    _rule(
        "azure-key", rb"[A-Za-z0-9]{52}JQQJ9[9D][A-Za-z0-9]{20,}|[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}"
    ),
    _rule(
        "azure-connection",
        rb"(?:AccountKey|SharedAccessKey)=(?P<secret>[A-Za-z0-9+/]{40,}={0,2})",
        _is_random,
        bounded=False,
    ),
    _rule(
        "github-token", rb"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"
    ),
    _rule("gitlab-token", rb"gl(?:pat|dt|rt|ptt|soat|ft|cbt|imt|agent)-[A-Za-z0-9_.-]{20,}"),
    _rule("slack-token", rb"xox[abeoprs]-[A-Za-z0-9-]{20,}|xapp-[0-9]-[A-Za-z0-9-]{20,}"),
    _rule(
        "slack-webhook", rb"hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20,}"
    ),
    _rule("stripe-key", rb"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/]{24,}"),
    _rule("npm-token", rb"npm_[A-Za-z0-9]{36}"),
    _rule("pypi-token", rb"pypi-Ag[A-Za-z0-9_-]{50,}"),
    _rule("sendgrid-key", rb"SG\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{40,}"),
    _rule("telegram-token", rb"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"),
    _rule("twilio-key", rb"(?:SK|AC)[0-9a-f]{32}"),
    _rule("digitalocean-token", rb"do[opr]_v1_[0-9a-f]{64}"),
    _rule("databricks-token", rb"dapi[0-9a-f]{32}"),
    _rule("docker-token", rb"dckr_[a-z]+_[A-Za-z0-9_-]{20,}"),
    _rule("vault-token", rb"hv[sbr]\.[A-Za-z0-9_-]{24,}"),
    _rule("age-key", rb"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    _rule("sentry-token", rb"sntry[su]_[A-Za-z0-9+/=_-]{40,}"),
    _rule("shopify-token", rb"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _rule("linear-key", rb"lin_(?:api|oauth)_[A-Za-z0-9]{32,}"),
    _rule("postman-key", rb"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    _rule("jwt", rb"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}", _is_jwt),
    _rule(
        "private-key",
        rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----[^-]{0,400}?[A-Za-z0-9+/]{40}",
        bounded=False,
    ),
    _rule(
        "connection-string",
        rb"[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"'<>{}$]{0,64}:(?P<secret>[^\s@/\"'<>{}$]{3,128})@[\w.\[-]",
        bounded=False,
    ),
    _rule(
        "authorization-header",
        rb"(?i:authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?bearer\s{1,3})(?P<secret>[\w.~+/=-]{20,})",
        _is_random,
        bounded=False,
    ),
    _rule(
        "basic-auth-header",
        rb"(?i:authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?basic\s{1,3})(?P<secret>[A-Za-z0-9+/=]{8,})",
        _is_basic_auth,
        bounded=False,
    ),
    _rule(
        "assigned-secret",
        _SECRET_NAME + _ASSIGNED + rb"[\"'`]?(?P<secret>[A-Za-z0-9+/_.~=@!#%^&*-]{16,200})",
        _is_random,
        bounded=False,
    ),
    _rule(
        "assigned-password",
        rb"(?i:passw(?:or)?d|passphrase|pwd)"
        + _ASSIGNED
        + rb"[\"'](?P<secret>[^\"'\s{}<>$]{8,100})[\"']",
        _is_password,
        bounded=False,
    ),
)
