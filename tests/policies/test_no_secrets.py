"""`no-secrets`: what leaks in files of many kinds, what only looks like it, and hostile texts."""

from __future__ import annotations

import base64
import hashlib
import random
import string
import zlib

import pytest

from lattice_lock.policies.base import Action, Context, Policy, Subject, Window
from lattice_lock.policies.no_secrets import NoSecrets
from lattice_lock.policies.placeholders import Placeholders
from lattice_lock.policies.policy_set import Enforced
from lattice_lock.policies.stream import TextFilter, judge

_ANSWER = Context(subject=Subject.RESPONSE)
_DRAW = random.Random(20)  # noqa: S311  # the same values each time
_ALNUM = string.ascii_letters + string.digits


def _drawn(size: int, alphabet: str = _ALNUM) -> str:
    return "".join(_DRAW.choices(alphabet, k=size))


def _hex(size: int) -> str:
    return _drawn(size, "0123456789abcdef")


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _found(text: str, policy: Policy | None = None, path: str | None = None) -> list[str]:
    context = Context(subject=Subject.CODE, path=path)
    findings = (policy or NoSecrets()).scan(Window(text), context).findings
    return [text[one.start : one.end] for one in findings]


def _enforced(action: Action) -> tuple[Enforced, ...]:
    return (Enforced(policy=NoSecrets(), subjects=(Subject.RESPONSE,), action=action),)


def _ghp() -> str:
    body = _drawn(30)
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, rest = divmod(value, 62)
        digits = (string.digits + string.ascii_uppercase + string.ascii_lowercase)[rest] + digits
    return f"ghp_{body}{digits}"


_BODY = "\n".join(_drawn(64, _ALNUM + "+/") for _ in range(6)) + "\n" + _drawn(20) + "=="
_ESCAPED = _BODY.replace("\n", "\\n")

# The text around each secret, and the secret: exactly that has to be found.
_LEAKS: dict[str, tuple[str, str]] = {
    "github": ("token {}.", _ghp()),
    "glued github": ("abc{}", _ghp()),
    "github fine-grained": ("({})", f"github_pat_{_drawn(22)}_{_drawn(59)}"),
    "gitlab": ("GL='{}'", f"glpat-{_drawn(20)}"),
    "openai": ("key={},", f"sk-proj-{_drawn(60)}"),
    "openai of old": ('"{}"', f"sk-{_drawn(20)}T3BlbkFJ{_drawn(20)}"),
    "anthropic": ("use {} now", f"sk-ant-api03-{_drawn(93)}AA"),
    "deepseek": ("use {} now", f"sk-{_hex(32)}"),
    "google": ("https://maps/?v=1&key={}&x=1", f"AIza{_drawn(35)}"),
    "groq": ("{}", f"gsk_{_drawn(52)}"),
    "xai": ("{}", f"xai-{_drawn(80)}"),
    "hugging face": ("{}", f"hf_{_drawn(34)}"),
    "azure openai": ("k: {}", f"{_drawn(52)}JQQJ99{_drawn(26)}"),
    "azure client": ("azure {} ok", f"{_drawn(3)}8Q~{_drawn(34)}"),
    "storage account": ("AccountName=a;AccountKey={};Suffix=b", f"{_drawn(86)}=="),
    "aws": ("xx{}", f"AKIA{_drawn(15, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ')}7"),
    "aws secret": ("aws_secret_access_key = {}\n", _drawn(40, _ALNUM + "/+")),
    "slack": ("{}", f"xoxb-{_drawn(12, string.digits)}-{_drawn(12, string.digits)}-{_drawn(24)}"),
    "slack webhook": (
        "https://hooks.slack.com/{}",
        f"services/T{_drawn(8).upper()}/B{_drawn(8).upper()}/{_drawn(24)}",
    ),
    "discord": ("{}", f"{_b64('283746192837461928')}.{_drawn(6)}.{_drawn(27)}"),
    "telegram": ("bot {}", f"{_drawn(9, '123456789')}:AA{_drawn(33)}"),
    "stripe": ("{}", f"rk_live_{_drawn(24)}"),
    "shopify": ("{}", f"shpat_{_hex(32)}"),
    "sendgrid": ("{}", f"SG.{_drawn(22)}.{_drawn(43)}"),
    "mailchimp": ("{}", f"{_hex(32)}-us12"),
    "npm": ("//registry/:_authToken={}\n", f"npm_{_drawn(36)}"),
    "pypi": ("{}", f"pypi-AgEIcHlwaS5vcmc{_drawn(100)}"),
    "terraform": ("{}", f"{_drawn(14)}.atlasv1.{_drawn(67)}"),
    "vault": ("{}", f"hvs.{_drawn(90)}"),
    "databricks": ("{}", f"dapi{_hex(32)}"),
    "atlassian": ("{}", f"ATATT3xFf{_drawn(170)}=1A2B3C4D"),
    "age": ("{}", f"AGE-SECRET-KEY-1{_drawn(58, string.ascii_uppercase + string.digits)}"),
    "pem": ("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", _BODY),
    "pem in json": (
        '{{"private_key": "-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY-----\\n"}}',
        _ESCAPED,
    ),
    "pem with headers": (
        "-----BEGIN DSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00AB\n\n{}",
        _BODY,
    ),
    "putty": ("Public-Lines: 1\nAAAA\nPrivate-Lines: 7\n{}\nPrivate-MAC: 00", _BODY),
    "basic": ("Authorization: Basic {}\r\n", _b64("bob:Erdbeere1")),
    "bearer": ("-H 'Authorization: Bearer {}'", _drawn(40)),
    "netrc": ("machine x.org login bob password {}\n", "kittens7"),
    "pgpass": ("db.internal:5432:shop:rw:{}\n", "Gr8Expectations"),
    "docker": ('{{"auths":{{"r":{{"auth":"{}"}}}}}}', _b64("bob:opensesame")),
    "wordpress": ("define( 'DB_PASSWORD', '{}' );", "blog2009"),
    "laravel": ("DB_HOST=x\nDB_PASSWORD={}\n", "homestead9"),
    "rails": ("production:\n  secret_key_base: {}\n", _hex(128)),
    "django": ("SECRET_KEY = '{}'", _drawn(50, _ALNUM + "!@#$%^&*(-_=+)")),
    "filezilla": ('<Pass encoding="base64">{}</Pass>', _b64("swordfish")),
    "esmtprc": ('  username "bob"\n  password "{}"\n', "lemontree"),
    "subversion": ("K 8\npassword\nV 9\n{}\n", "Sauer4mpf"),
    "cisco": ("enable secret 5 ${}\n", f"1$abcd${_drawn(22)}"),
    "wifi": ("wpa_passphrase={}\n", "Chrysanth3mum"),
    "yaml pair": ("- name: DB_PASSWORD\n  value: {}\n", "sup3rs3cret9"),
    "xml pair": ('<add key="Password" value="{}" />', "abc123!x"),
    "ado": ("Server=x;Uid=sa;Pwd={};Database=y", "Abc!2345"),
    "words and a number": ('MAIL_PASSWORD="{}"\n', "blue cheese 42"),
    "salt with spaces": (
        "define('AUTH_SALT', '{}');",
        "x9 " + _drawn(30, _ALNUM + "!@#%^&*") + " q)7",
    ),
    "url": ("mongodb+srv://app:{}@c0.abcde.mongodb.net/x", "m0ng0ose"),
    "redis url": ("redis://:{}@cache:6379/0", "R3dFish99"),
    "jdbc call": ('getConnection("jdbc:mysql://db/x", "root", "{}")', "R00tbeer!"),
    "mysql": ("mysql -uroot -p{} shop\n", "V3ryS3cure"),
    "curl": ("curl -sS -u bob:{} https://x/", "hunter22"),
    "go": ('cfg{{Passwd: "{}"}}', "g0pherHole"),
    "rust": ('let password: &str = "{}";', "ferr1sCrab"),
    "php": ("'password' => '{}',", "Phpnut$5"),
    "escaped": ('"{{\\"password\\":\\"{}\\"}}"', "Pfl4umenmus"),
    "flag": ("tool --password {} run", "Tr0ub4dor"),
    "query": ("https://x/api?access_token={}&y=1", _drawn(32)),
    "sql": ("CREATE USER a IDENTIFIED BY '{}';", "Schn1ttlauch"),
    "powershell": ('ConvertTo-SecureString "{}" -AsPlainText', "Bas1likum!"),
    "chat": ("the password is {}, user ann", "Blaubeere-2019"),
    "german": ("Das Passwort lautet {}", "Wolkenbruch77"),
    "spanish": ("contraseña: {}\n", "M4nzanilla!"),
    "chinese": ("密码\uff1a{}\n", "Chuntian88x!"),
    "bcrypt": ("bob:$2y$10${}\n", _drawn(53)),
    "shadow": ("root:${}:17000:0:99999:7:::", f"6${_drawn(8)}${_drawn(86)}"),
}

_HARMLESS: tuple[str, ...] = (
    f'"integrity": "sha512-{_drawn(86)}=="',
    f"commit {_hex(40)}\nindex {_hex(7)}..{_hex(7)}",
    f'<input type="hidden" name="csrf_token" value="{_drawn(40)}">',
    '<input type="password" name="password" placeholder="Enter password" value="">',
    '{"password": "Passwort", "forgotPassword": "Passwort vergessen?", "token": "Marke"}',
    "password: Mot de passe\napi_key: Clé API\n",
    '<string name="password">Contraseña</string>',
    "interface Login { password: string; token?: string; apiKey: string | null }",
    'const apiKey = process.env.API_KEY; const t = localStorage.getItem("token");',
    'password = getpass.getpass("Password: "); secret = settings.SECRET_KEY',
    "'password' => 'required|" + "min:8|confirmed', 'token' => Str::random(60)",
    "validates :password, presence: true, length: { minimum: 8 }",
    "TOKEN: ${{ secrets.TOKEN }}\nPOSTGRES_PASSWORD: ${DB_PASSWORD:?required}",
    "password = var.db_password\ntoken = data.vault.t.data[0]",
    "API_KEY=\nDB_PASSWORD=password\nTOKEN=your-token-here\nSECRET=changeme\nKEY=<key>\n",
    "usage: x [--password PASSWORD] [--token TOKEN]",
    "PasswordAuthentication no\npassword requisite pam_pwquality.so retry=3\n",
    "sk-learn and task-0123456789 with risk-adjusted-returns-of-the-market-2024",
    "https://user:password@example.com/ scott:tiger@host git@github.com:a/b.git",
    f"-----BEGIN PUBLIC KEY-----\n{_BODY}\n-----END PUBLIC KEY-----",
    'if "-----BEGIN PRIVATE KEY-----" in text: raise ValueError("a key is in the text")',
    f"data:image/png;base64,iVBORw0KGgo{_drawn(2000, _ALNUM + '+/')}",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY is the secret_key",
    "token = 'LPAREN'; max_tokens = 4096; sort_key = 'created_at'; primary_key=True",
    "The key is practice; pass the salt, and a token of thanks. My password is too long.",
    "request_token: " + "123e4567-e89b-12d3-a456-426614174000",
    "password: ENC[AES256_GCM,data:abc]\npassword: !vault |\n  $ANSIBLE_VAULT;1.1;AES256",
    "Match `token=[A-Za-z0-9]{32}` or `password=\\S+` or `secret: .*`.",
)


@pytest.mark.parametrize("name", _LEAKS)
def test_a_secret_is_found_and_nothing_else(name: str) -> None:
    """The span of a finding is the secret's, so that what stands around it can stay."""
    around, secret = _LEAKS[name]
    assert _found(around.format(secret)) == [secret]


@pytest.mark.parametrize("text", _HARMLESS)
def test_what_only_looks_like_a_secret_passes(text: str) -> None:
    """Placeholders, references, hashes, public keys, labels and prose are no secrets."""
    assert _found(text) == []


@pytest.mark.parametrize("name", _LEAKS)
def test_no_piece_of_a_streamed_secret_passes(name: str) -> None:
    """However an answer is cut, what passes is what passes of the whole, and no secret."""
    around, secret = _LEAKS[name]
    text = f"Well,\n{around.format(secret)}\nand so on."
    whole = judge(text, _enforced(Action.REDACT), _ANSWER, Placeholders()).text
    assert secret not in whole
    rng = random.Random(name)  # noqa: S311  # the same cuts each time
    for _ in range(6):
        stream = TextFilter(_enforced(Action.REDACT), _ANSWER, Placeholders())
        passed, at = "", 0
        while at < len(text):
            size = rng.choice((1, 3, 20, 70))
            passed += stream.feed(text[at : at + size])
            at += size
        assert passed + stream.finish() == whole


def test_a_refused_answer_ends_before_the_secret() -> None:
    """With the default action nothing from the secret on is passed."""
    verdict = judge(f"key: {_ghp()} end", _enforced(Action.DENY), _ANSWER, Placeholders())
    assert verdict.text == "key: "
    assert verdict.refusal is not None
    assert "ghp_" not in verdict.refusal.finding.message


def test_a_long_private_key_is_taken_whole_from_a_stream() -> None:
    """A key of several thousand characters is one placeholder, also in a stream."""
    body = "\n".join(_drawn(64) for _ in range(100))
    text = f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\nbye"
    stream = TextFilter(_enforced(Action.REDACT), _ANSWER, Placeholders())
    passed = "".join(stream.feed(text[at : at + 50]) for at in range(0, len(text), 50))
    passed += stream.finish()
    assert passed == (
        "-----BEGIN PRIVATE KEY-----\n[PRIVATE_KEY_1]\n-----END PRIVATE KEY-----\nbye"
    )


def test_a_checksum_makes_a_token_certain() -> None:
    """A token with its checksum is found even where its letters spell words."""
    body = "TheQuickBrownFoxJumpsOverTheDo"
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, rest = divmod(value, 62)
        digits = (string.digits + string.ascii_uppercase + string.ascii_lowercase)[rest] + digits
    assert _found(f"ghp_{body}{digits}") == [f"ghp_{body}{digits}"]


@pytest.mark.parametrize("how", ["literal", "glob", "digest"])
def test_an_allowed_value_passes(how: str) -> None:
    """`allow` takes a value, a value with `*`, and a digest; other values stay refused."""
    value = "Tr0ub4dor-77"
    entry = {
        "literal": value,
        "glob": "Tr0*dor*7",
        "digest": "sha256:" + hashlib.sha256(value.encode()).hexdigest(),
    }[how]
    policy = NoSecrets(allow=(entry,))
    text = f'password = "{value}"\npassword = "X{value}"'
    assert _found(text, policy) == [f"X{value}"]


def test_kinds_choose_the_rules() -> None:
    """Only what the chosen rules describe is refused."""
    value = "Tr0ub4dor-77"
    text = f'{_ghp()}\npassword = "{value}"'
    assert _found(text, NoSecrets(kinds=("assigned-password",))) == [value]


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"kinds": ("passwords",)}, "`kinds` has no `passwords`"),
        ({"allow": ("*",)}, "4 to 512 characters"),
        ({"allow": ("x" * 513,)}, "4 to 512 characters"),
        ({"allow": ("sha256:12",)}, "64 hexadecimal digits"),
        ({"allow": ("abcd",) * 1001}, "at most 1,000"),
    ],
)
def test_wrong_parameters_are_refused(parameters: dict[str, tuple[str, ...]], says: str) -> None:
    """A parameter that means nothing, or would allow everything, does not load."""
    with pytest.raises(ValueError, match=says.replace("*", r"\*")):
        NoSecrets(**parameters)


def test_code_is_told_from_configuration_by_its_path() -> None:
    """A bare word is a name in a program and a value in a file of settings."""
    text = "password = elephant12\n"
    assert _found(text, path="a.py") == []
    assert _found(text, path="a.ini") == ["elephant12"]


@pytest.mark.parametrize(
    "unit",
    [
        "password=",
        'password="',
        "password: a\n",
        "key ",
        "ghp_",
        "sk-proj-",
        "AKIA",
        "eyJ" * 50 + ".",
        "://a:b",
        "-----BEGIN PRIVATE KEY-----\n",
        "SharedAccessKey=q7RkT2mV",
        "mysql -",
        " ",
        "1",
        "\\",
        "密码\uff1a",
    ],
)
def test_a_hostile_text_is_judged(unit: str) -> None:
    """A megabyte made to be slow is judged like any other text."""
    text = (unit * (1_000_000 // len(unit) + 1))[:1_000_000]
    scan = NoSecrets().scan(Window(text, final=False), _ANSWER)
    assert 0 <= scan.settled <= len(text)
    assert all(one.start < scan.settled for one in scan.findings)
