"""Candidates that try to pass by anything but a right answer.

Unless a test says otherwise, each body here ends with the right answer: what it does on the way is
what must keep it from passing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lattice_lock.gauntlet.runner import Limits, run_contracts
from lattice_lock.gauntlet.sandbox import detect_sandbox
from lattice_lock.gauntlet.verdict import Outcome

from .conftest import RIGHT, module_with, request_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.gauntlet.verdict import TestVerdict

    from .conftest import Try, TryMany

pytestmark = pytest.mark.sandbox

HOME = Path.home()
SHORT_CALLS = Limits(call_timeout_s=0.5)
SHORT_IMPORT = Limits(start_timeout_s=2.0)


def _swallowing(statement: str) -> str:
    """A body that tries `statement`, hides whatever comes of it, and answers rightly."""
    return f"try:\n    {statement}\nexcept BaseException:\n    pass\n{RIGHT}"


def _not_refuted_with(
    verdicts: Mapping[str, TestVerdict], table: Mapping[str, tuple[str, str]]
) -> dict[str, TestVerdict]:
    """The verdicts that do not refute with the message of the table's second column."""
    return {
        name: verdicts[name]
        for name, (_, message) in table.items()
        if verdicts[name].outcome is not Outcome.REFUTED or message not in verdicts[name].message
    }


GIVING_UP = {
    "os._exit(0)": ("import os; os._exit(0)", "ended its process with exit status 0"),
    "sys.exit(0)": ("import sys; sys.exit(0)", "sys.exit (SystemExit): 0"),
    "pytest.skip": ("import pytest; pytest.skip('later')", "raised Skipped: later"),
    "hypothesis.assume": ("import hypothesis; hypothesis.assume(False)", "raised Unsatisfied"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
    "GeneratorExit": ("raise GeneratorExit", "raised GeneratorExit"),
    "own BaseException": (
        "class Escape(BaseException): pass\nraise Escape('free')",
        "raised Escape: free",
    ),
    "deep recursion": ("def fall(): fall()\nfall()", "raised RecursionError"),
    "crash": (
        (
            "import sys; sys.setrecursionlimit(10**9)\n"
            "def fall(x): return fall((x,)).__class__\n"
            "x = ()\n"
            "for _ in range(10**6): x = (x,)\n"
            "hash(x)\n"
        ),
        "crashed (SIGSEGV)",
    ),
    "abort": ("import os; os.abort()", "crashed (SIGABRT)"),
    "unfinished": ("raise NotImplementedError", "raised NotImplementedError"),
}


async def test_not_answering_is_refuted(try_bodies: TryMany) -> None:
    """Whoever ends, skips, crashes or raises instead of answering is refuted and told so."""
    verdicts = await try_bodies({name: body for name, (body, _) in GIVING_UP.items()})
    assert _not_refuted_with(verdicts, GIVING_UP) == {}
    assert all("price=Decimal('0.01')" in str(one.counterexample) for one in verdicts.values())


FORBIDDEN = {
    "read the home folder": (f"open({str(HOME / '.profile')!r}).read()", f"open `{HOME}/.profile`"),
    "list the home folder": (f"__import__('os').listdir({str(HOME)!r})", f"look into `{HOME}`"),
    "read with os.open": ("__import__('os').open('/etc/passwd', 0)", "open `/etc/passwd`"),
    "read bytes path": ("open(b'/etc/passwd')", "open `/etc/passwd`"),
    "climb out": ("open('/usr/lib/../../etc/passwd')", "open `/etc/passwd`"),
    "read the judge's memory": ("open('/proc/1/mem', 'rb')", "open `/proc/1/mem`"),
    "read the environment of others": ("open('/proc/self/environ')", "open `/proc/self/environ`"),
    "write a file": ("open('/tmp/written', 'w')", "write to `/tmp/written`"),
    "write beside itself": ("open(__file__, 'a')", "write to `"),
    "make a folder": ("__import__('os').mkdir('/tmp/made')", "change the file system"),
    "delete a file": ("__import__('os').remove(__file__)", "change the file system"),
    "change a mode": ("__import__('os').chmod(__file__, 0o777)", "change the file system"),
    "open a socket": ("__import__('socket').socket()", "use the network"),
    "connect": ("__import__('socket').create_connection(('127.0.0.1', 9))", "use the network"),
    "resolve a name": ("__import__('socket').getaddrinfo('localhost', 9)", "use the network"),
    "fork": ("__import__('os').fork()", "start a process"),
    "run a program": ("__import__('subprocess').run(['true'])", "start a process"),
    "run a shell": ("__import__('os').system('true')", "start a process"),
    "kill the judge": ("__import__('os').kill(__import__('os').getppid(), 9)", "signal a process"),
    "call native code": ("__import__('ctypes').CDLL(None).getpid()", "call native code"),
    "search the memory": ("__import__('gc').get_objects()", "search the interpreter's memory"),
    "trace": ("__import__('sys').settrace(print)", "watch the interpreter"),
    "raise a limit": (
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (-1, -1))",
        "change a resource limit",
    ),
}


async def test_a_forbidden_attempt_is_refuted_even_when_hidden(try_bodies: TryMany) -> None:
    """A denied attempt is reported by name although the body hides it and answers rightly."""
    bodies = {name: _swallowing(statement) for name, (statement, _) in FORBIDDEN.items()}
    expected = {name: (name, f"tried to {attempt}") for name, (_, attempt) in FORBIDDEN.items()}
    assert _not_refuted_with(await try_bodies(bodies), expected) == {}


async def test_a_forbidden_attempt_that_is_not_hidden_is_refuted(try_body: Try) -> None:
    """Reading the home folder is refuted without any `except` too."""
    verdict = await try_body(f"open({str(HOME / '.profile')!r}).read()\n{RIGHT}")
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.message.startswith(f"tried to open `{HOME}/.profile`")


@pytest.fixture(params=["bubblewrap", "landlock"])
def each_sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every sandbox that works here, one after the other."""
    if request.param == "landlock":
        monkeypatch.setenv("PATH", "/nonexistent")  # where no `bwrap` is
    sandbox = detect_sandbox()
    if not sandbox.name.startswith(request.param):
        pytest.skip(f"no {request.param} here: {'; '.join(sandbox.missing)}")
    return str(request.param)


OUT_OF_REACH = {
    "home": (f"open({str(HOME / '.profile')!r})", "tried to open"),
    "another file": ("import os; os.read(os.open('/etc/passwd', 0), 9)", "tried to open"),
    "socket": ("__import__('socket').socket()", "tried to use the network"),
    "process": ("__import__('os').fork()", "tried to start a process"),
    # The interpreter reports nothing of these: only the kernel is left to say no.
    "memory file": ("__import__('os').memfd_create('x')", "tried a forbidden system call"),
    "another user": ("__import__('os').setuid(1)", "tried a forbidden system call"),
}


@pytest.mark.usefixtures("each_sandbox")
async def test_each_sandbox_refuses_the_rest(try_bodies: TryMany) -> None:
    """A right body passes under bubblewrap and under Landlock alone; attempts are refuted."""
    bodies = {name: _swallowing(statement) for name, (statement, _) in OUT_OF_REACH.items()}
    verdicts = await try_bodies({"right": RIGHT, **bodies})
    assert verdicts["right"].outcome is Outcome.PASSED
    assert _not_refuted_with(verdicts, OUT_OF_REACH) == {}


HANGING = {
    "endless loop": "while True: pass",
    "sleep": "import time; time.sleep(600)",
    "endless constructor": "Slow()",
    "endless message": "raise Endless",
    "lock": "import threading; threading.Event().wait()",
    "never-ending regular expression": "import re; re.match('(a+)+$', 'a' * 64 + 'b')",
}
HANGING_CLASSES = """
class Slow:
    def __init__(self):
        while True: pass
class Endless(Exception):
    def __str__(self):
        while True: pass
"""


async def test_a_body_that_hangs_is_refuted_with_its_input(try_bodies: TryMany) -> None:
    """A call that takes too long ends the test at once and names the input."""
    verdicts = await try_bodies(HANGING, preamble=HANGING_CLASSES, limits=SHORT_CALLS)
    expected = {name: (name, "did not answer within 0.5 s") for name in HANGING}
    assert _not_refuted_with(verdicts, expected) == {}
    assert all("price=Decimal('0.01')" in str(one.counterexample) for one in verdicts.values())


AT_IMPORT = {
    "endless loop": ("while True: pass", "could not be imported within 2 s"),
    "exit": ("import os; os._exit(0)", "ended its process with exit status 0"),
    "sys.exit": ("import sys; sys.exit(0)", "cannot be imported: sys.exit (SystemExit): 0"),
    "memory": ("x = bytearray(1 << 31)", "cannot be imported: MemoryError"),
    "socket": ("import socket; socket.socket()", "tried to use the network"),
    "home": (f"open({str(HOME / '.profile')!r})", f"tried to open `{HOME}/.profile`"),
    "syntax": ("def broken(:", "cannot be imported: SyntaxError: invalid syntax\n  services/"),
    "error": ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero\n  services/"),
}


@pytest.mark.parametrize(("preamble", "message"), AT_IMPORT.values(), ids=AT_IMPORT)
async def test_mischief_at_import_is_refuted(try_body: Try, preamble: str, message: str) -> None:
    """What a module does while it is imported counts like what its methods do."""
    limits = SHORT_IMPORT if message.startswith("could not") else None
    verdict = await try_body(RIGHT, preamble=preamble, limits=limits)
    assert verdict.outcome is Outcome.REFUTED
    assert message in verdict.message


LIES = {
    "int instead of Decimal": ("return 1", "instance of Decimal"),
    "nothing": ("pass", "instance of Decimal"),
    "str subclass": (
        "class Any(str):\n    def __eq__(self, other): return True\nreturn Any('1')",
        "<locals>.Any`, a subclass of `str`, which is not plain data",
    ),
    "Decimal subclass": (
        "class Any(Decimal):\n    def __eq__(self, other): return True\nreturn Any(1)",
        "a subclass of `Decimal`, which is not plain data",
    ),
    "lying class": (
        (
            "class Any:\n    __class__ = Decimal\n    def __eq__(self, other): return True\n"
            "return Any()"
        ),
        "Any`, which is not data",
    ),
    "generator": ("yield line.price * line.quantity", "returned a `generator`"),
    "coroutine": ("async def later(): ...\nreturn later()", "returned a `coroutine`"),
    "function": ("return lambda: 1", "returned a `function`"),
    "itself": ("return self", "PricingService`, which is not data"),
    "endless list": ("x = []\nx.append(x)\nreturn x", "nested deeper than"),
    "too much": ("return 'x' * 10**8", "returned more than 4096 KiB of data"),
    "strange argument": (
        "line.__dict__['price'] = object()\nreturn Decimal(1)",
        "left in an argument a `object`, which is not data",
    ),
}


async def test_an_answer_that_is_not_the_declared_data_is_refuted(try_bodies: TryMany) -> None:
    """Only plain data of the declared type is an answer, whatever it says of itself."""
    verdicts = await try_bodies({name: body for name, (body, _) in LIES.items()})
    assert _not_refuted_with(verdicts, LIES) == {}


MEMORY = {
    "one block": "x = bytearray(1 << 31)",
    "many blocks": "x = []\nwhile True: x.append(bytearray(1 << 24))",
    "a large number": "x = 1 << (1 << 34)",
}


async def test_a_memory_bomb_is_refuted(try_bodies: TryMany) -> None:
    """Asking for more memory than allowed is refuted as that, and harms nobody else."""
    verdicts = await try_bodies({name: f"{bomb}\n{RIGHT}" for name, bomb in MEMORY.items()})
    expected = {name: (name, "ran out of memory") for name in MEMORY}
    assert _not_refuted_with(verdicts, expected) == {}


FORGERIES = {
    "garbage everywhere": (
        "import os\n"
        "for descriptor in range(3, 64):\n"
        "    try: os.write(descriptor, b'\\xff' * 64)\n"
        "    except OSError: pass\n"
    ),
    "an empty object everywhere": (
        "import os\n"
        "for descriptor in range(3, 64):\n"
        "    try: os.write(descriptor, b'\\0\\0\\0\\x02{}')\n"
        "    except OSError: pass\n"
    ),
    "a passed verdict everywhere": (
        "import os, json\n"
        "text = json.dumps({'verdict': {'test': 'test_line_total_keeps_its_contract', 'method':\n"
        "    'line_total', 'outcome': 'passed', 'examples': 9}, 'complete': True}).encode()\n"
        "for descriptor in range(3, 64):\n"
        "    try: os.write(descriptor, len(text).to_bytes(4, 'big') + text + b'\\n')\n"
        "    except OSError: pass\n"
    ),
    "a second reply with the right nonce": (
        "import sys, os, json\n"
        "frame = sys._getframe()\n"
        "while 'request' not in frame.f_locals: frame = frame.f_back\n"
        "text = json.dumps({'nonce': frame.f_locals['request']['nonce'], 'changed': {},\n"
        "    'result': ['decimal', str(line.price * line.quantity)]}).encode()\n"
        "for descriptor in range(3, 64):\n"
        "    try: os.write(descriptor, len(text).to_bytes(4, 'big') + text)\n"
        "    except OSError: pass\n"
    ),
}


@pytest.mark.parametrize("trick", FORGERIES.values(), ids=FORGERIES)
async def test_a_forged_message_is_refuted(try_body: Try, trick: str) -> None:
    """Writing to the channel, or anywhere, cannot stand in for an answer."""
    verdict = await try_body(trick + RIGHT)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.message.startswith("wrote something that is no reply to its channel")


async def test_a_forged_message_in_the_last_call_is_refuted(source_root: Path) -> None:
    """What is left in the channel after the last call of a test is noticed."""
    contract = """
from decimal import Decimal
from services.pricing_service import PricingService
from shared.types_v1 import OrderLine

def test_line_total_keeps_its_contract():
    assert PricingService().line_total(OrderLine(price=Decimal(2), quantity=3)) == 6
"""
    trick = FORGERIES["a second reply with the right nonce"]
    for body, outcome in [(RIGHT, Outcome.PASSED), (trick + RIGHT, Outcome.REFUTED)]:
        module = module_with({"line_total": body})
        report = await run_contracts(request_for(source_root, module, contract=contract))
        assert report.verdicts[0].outcome is outcome


@pytest.mark.parametrize("body", ["import os; os._exit(0)", "return object()"])
async def test_a_fault_that_a_test_overlooks_is_refuted(source_root: Path, body: str) -> None:
    """A test that catches everything does not turn a dead or babbling worker into a pass."""
    contract = """
from services.pricing_service import PricingService

def test_line_total_keeps_its_contract():
    assert PricingService().line_total(1) == 1
    try:
        PricingService().line_total(2)
    except BaseException:
        pass
"""
    module = module_with({"line_total": f"if line == 1: return 1\n{body}"})
    report = await run_contracts(request_for(source_root, module, contract=contract))
    assert report.verdicts[0].outcome is Outcome.REFUTED
    assert report.verdicts[0].message.startswith(("ended its process", "returned a `object`"))


TAMPERING = {
    "patch pytest": "import pytest; pytest.raises = pytest.skip = pytest.fail = print",
    "patch hypothesis": "import hypothesis; hypothesis.given = lambda **k: lambda f: None",
    "replace the types": (
        "import shared.types_v1 as t\n"
        "class OrderLine(t.OrderLine):\n"
        "    def __eq__(self, other): return True\n"
        "t.OrderLine = OrderLine"
    ),
    "patch the types": (
        "import shared.types_v1 as t\n"
        "t.OrderLine.__eq__ = lambda *_: True\n"
        "t.OrderLine.price = property(lambda self: 0)"
    ),
    "replace Decimal": "import decimal; decimal.Decimal = float",
    "replace the codec": (
        "import sys\n"
        "for name, module in list(sys.modules.items()):\n"
        "    if name.startswith('lattice_lock.gauntlet._codec'):\n"
        "        module.Codec.encode = lambda self, value: True"
    ),
    "replace the audit": (
        "import sys\nfor name in [n for n in sys.modules if '_audit' in n]: del sys.modules[name]"
    ),
    "find the judge's tests": (
        "import sys\n"
        "frame = sys._getframe()\n"
        "while frame: frame.f_globals.clear() if 'test' in frame.f_code.co_name else 0; "
        "frame = frame.f_back"
    ),
    "change the argument": "line.__dict__.update(quantity=0, price=Decimal(0))",
    "lie about equality": (
        "import builtins; builtins.isinstance = lambda *_: True; builtins.type = lambda *_: Decimal"
    ),
}


@pytest.mark.parametrize("preamble", TAMPERING.values(), ids=TAMPERING)
async def test_tampering_does_not_make_a_wrong_body_pass(try_body: Try, preamble: str) -> None:
    """Patching what the worker holds leaves the judge's tests, types and equality alone."""
    verdict = await try_body(f"{preamble}\nreturn Decimal(0)")
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.message


HARMLESS = {
    "threads": (
        "import threading\nworker = threading.Thread(target=print)\nworker.start()\nworker.join()\n"
    ),
    "printing megabytes": "print('x' * 3_000_000)\n",
    "patched pytest": "import pytest; pytest.fail = print\n",
    "reading standard input": "import sys; assert sys.stdin.read() == ''\n",
    "its own source": "import services; assert services.__path__ is not None\n",
    "a lazy import": "import statistics, zoneinfo; zoneinfo.ZoneInfo('Europe/Paris')\n",
    "an in-memory database": "import sqlite3; sqlite3.connect(':memory:').close()\n",
}


async def test_a_harmless_trick_does_not_hurt_a_right_body(try_bodies: TryMany) -> None:
    """What reaches nothing outside the worker does not keep a right body from passing."""
    verdicts = await try_bodies({name: trick + RIGHT for name, trick in HARMLESS.items()})
    assert {name: one.message for name, one in verdicts.items()} == dict.fromkeys(HARMLESS, "")
    assert {one.outcome for one in verdicts.values()} == {Outcome.PASSED}


async def test_a_message_cannot_steer_a_terminal(try_body: Try) -> None:
    """Control characters in what a body says are made visible."""
    verdict = await try_body(r"raise ValueError('\x1b]0;owned\x07\u202e')")
    assert r"\x1b]0;owned\x07\u202e" in verdict.message


async def test_the_environment_holds_nothing_of_the_caller(
    try_body: Try, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable of the caller reaches the implementation, so no secret can be in its answer."""
    monkeypatch.setenv("LATTICE_LOCK_API_KEY", "sk-secret")
    verdict = await try_body("import os; raise ValueError(sorted(os.environ))")
    assert verdict.outcome is Outcome.REFUTED
    assert "'HOME', 'LANG'" in verdict.message
    assert "LATTICE_LOCK_API_KEY" in os.environ
    assert "LATTICE_LOCK_API_KEY" not in verdict.message


async def test_a_thread_that_attempts_something_later_is_noticed(try_body: Try) -> None:
    """An attempt between two calls is refuted like one within a call."""
    body = f"""
    import threading, socket
    ready = threading.Event()
    def later():
        ready.set()
        socket.socket()
    threading.Thread(target=later).start()
    ready.wait()
    {RIGHT}
    """
    verdict = await try_body(body)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.message.startswith("tried to use the network")


FORKING = {
    "a fork bomb": "import os\n    while True: os.fork()",
    "a bomb of threads and forks": (
        "import os, threading\n"
        "    for _ in range(50): threading.Thread(target=os.fork).start()\n"
        "    os.fork()"
    ),
    "a spawned program": "import os; os.posix_spawn('/bin/true', ['true'], {})",
}
KILLING = {
    "its parent": "import os, signal; os.kill(os.getppid(), signal.SIGKILL)",
    "its process group": "import os, signal; os.killpg(0, signal.SIGKILL)",
    "everyone": "import os, signal; os.kill(-1, signal.SIGKILL)",
}


async def test_bombs_and_killings_are_refuted(try_bodies: TryMany) -> None:
    """No process comes into being and no other one ends, whoever swallows the refusal."""
    tricks = {**FORKING, **KILLING}
    bodies = {
        name: f"try:\n    {trick}\nexcept BaseException: pass\n{RIGHT}"
        for name, trick in tricks.items()
    }
    verdicts = await try_bodies({**bodies, "right": RIGHT})
    assert verdicts.pop("right").outcome is Outcome.PASSED
    assert {name: one.outcome for name, one in verdicts.items()} == dict.fromkeys(
        verdicts, Outcome.REFUTED
    )
    assert all(one.suggestion for one in verdicts.values())


MANIFESTS = {
    "a verdict": {
        "verdict": {
            "test": "test_line_total_keeps_its_contract",
            "method": "line_total",
            "outcome": "passed",
            "examples": 100,
            "message": "",
            "counterexample": None,
            "clause": None,
            "suggestion": "",
            "calls": [],
        }
    },
    "a conclusion": {"collection_errors": [], "unexpected": []},
}


@pytest.mark.parametrize("name", list(MANIFESTS))
async def test_a_printed_manifest_is_no_verdict(try_body: Try, name: str) -> None:
    """Lines that look like the judge's own, printed before the process ends, are noise."""
    line = json.dumps(MANIFESTS[name])
    body = (
        f"import os, sys\nline = {line!r} + chr(10)\nprint(line, flush=True)\n"
        "sys.stderr.write(line); sys.__stdout__.write(line); os.write(1, line.encode())\n"
        "os.write(2, line.encode())\nreturn Decimal(-1)"
    )
    verdict = await try_body(body)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.clause == "interfaces.IPricingService.methods.line_total.ensures[0]"
    verdict = await try_body(body.replace("return Decimal(-1)", "os._exit(0)"))
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.message.startswith("ended its process with exit status 0")


SUGGESTED = {
    "unwritten": ("raise NotImplementedError", "Write the body of `"),
    "undeclared": ("raise KeyError(1)", "Handle this input without the error"),
    "endless": ("while True: pass", "Make the call end for this input"),
    "greedy": ("return bytearray(1 << 34)", "Hold less in memory"),
    "nosy": (f"open({str(HOME / '.profile')!r})", "Remove that: a body computes"),
    "no data": ("return self", "Return plain data of the declared type"),
    "gone": ("import os; os._exit(3)", "Return the answer, nothing else."),
    "wrong": ("return Decimal(-1)", "Change `"),
}


async def test_every_refutation_says_what_to_do(try_bodies: TryMany) -> None:
    """Each way to fail has a sentence for whoever mends the code."""
    bodies = {name: body for name, (body, _) in SUGGESTED.items()}
    verdicts = await try_bodies(bodies, limits=SHORT_CALLS)
    told = {name: verdicts[name].suggestion for name in SUGGESTED}
    wrong = {name: told[name] for name, (_, text) in SUGGESTED.items() if text not in told[name]}
    assert wrong == {}
