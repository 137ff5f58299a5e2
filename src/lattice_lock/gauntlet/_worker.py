"""The worker: imports the implementation inside the sandbox and answers calls.

It reads one object that says what to do, confines itself, imports, and then answers one request
after the other. It holds no secret and decides nothing: the judge checks whatever comes back.
Requests and replies are described at `_serve`.
"""

from __future__ import annotations

import builtins
import importlib
import linecache
import os
import sys
import threading
from dataclasses import dataclass
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Final

from lattice_lock.gauntlet._audit import watch_attempts
from lattice_lock.gauntlet._channel import Channel, ChannelBrokenError, Json
from lattice_lock.gauntlet._codec import Codec, NotDataError, TrustedClasses
from lattice_lock.gauntlet._confine import Confinement, confine_process
from lattice_lock.gauntlet._modules import TextFinder, use_sources_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

__all__ = ["main"]

_MAX_TEXT: Final = 2000
_MAX_FRAMES: Final = 5
_MAX_REQUEST_BYTES: Final = 64 * 1024 * 1024


class _CandidateError(Exception):
    """The implementation did something that is no answer; the message says what."""


@dataclass(frozen=True, slots=True)
class _Workplace:
    """The project's code, for messages.

    Attributes:
        source_root: import root on disk, with a slash at its end.
        texts: source text of the modules that were handed over, by file name.
    """

    source_root: str
    texts: Mapping[str, str]

    def line(self, filename: str, number: int) -> str:
        """One line of the project's code, without surrounding space; empty if unknown."""
        if filename not in self.texts:
            return linecache.getline(filename, number).strip()
        lines = self.texts[filename].splitlines()
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""


def main() -> None:
    """Run as a process of its own; arguments: the descriptor to write replies to."""
    channel = _take_descriptors(int(sys.argv[1]))
    order = channel.receive()
    sys.dont_write_bytecode = True  # from here on nothing is written
    try:
        confine_process(Confinement(**order["confinement"]))
    except OSError as error:
        channel.send({"unconfined": str(error)})
        os._exit(1)
    watch_attempts(
        order["confinement"]["readable"], lambda attempt: channel.send({"attempt": attempt})
    )
    try:
        _serve(channel, order)
    except ChannelBrokenError:
        os._exit(0)  # the judge is done, or gone


def _take_descriptors(replies: int) -> Channel:
    """Move the channel away from standard input, and close whatever else was inherited."""
    requests = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    kept = sorted({0, 1, 2, requests, replies})
    for low, high in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(low + 1, high)
    return Channel(requests, replies, max_bytes=_MAX_REQUEST_BYTES)


def _serve(channel: Channel, order: dict[str, Json]) -> None:
    """Import the project, say whether that worked, then answer requests for ever.

    Every request carries a `nonce`, which its reply repeats, and numbers of objects to `drop`.
    `new` makes an object of a class of a module and keeps it under a number, `call` calls a
    method of such an object, `ping` does nothing. Arguments are a list of names (null where
    positional) with either a value, the number of a kept object, or a `fake`: a dependency whose
    methods ask the judge.

    A reply has one of: `result` with `changed` (arguments by position, in their new state),
    `raised` (an ordinary exception), `failed` (a sentence about the implementation). Before it,
    any number of messages may `ask` what a fake answers; each is told an `answer`, or what to
    `raise`.
    """
    server = _Server(order, channel)
    try:
        server.import_project()
        reply: dict[str, Json] = {"result": None}
    except BaseException as error:  # noqa: BLE001  # process boundary: untrusted code was imported
        reply = server.describe_import_error(error)
    channel.send({"nonce": order["nonce"], **reply})
    while True:
        request = channel.receive()
        channel.send({"nonce": request["nonce"], **server.answer(request)})


class _Server:
    """Answers requests with what the implementation does."""

    def __init__(self, order: dict[str, Json], channel: Channel) -> None:
        self._order = order
        self._channel = channel
        self._turn = threading.Lock()
        self._nonce: str | None = None
        sources: dict[str, str] = order["modules"]
        root: str = order["source_root"]
        finder = TextFinder(sources, root=root)
        use_sources_below(root)
        sys.path.insert(0, root)
        sys.meta_path.insert(0, finder)
        self._workplace = _Workplace(
            root + "/", {finder.file_name(name): text for name, text in sources.items()}
        )
        self._codec = Codec(TrustedClasses(()), max_bytes=order["message_bytes"])
        self._objects: dict[int, object] = {}

    def import_project(self) -> None:
        """Import the trusted modules, then the implementation."""
        trusted = [importlib.import_module(name) for name in self._order["trusted"]]
        self._codec = Codec(TrustedClasses(trusted), max_bytes=self._order["message_bytes"])
        for name in self._order["implementation"]:
            importlib.import_module(name)

    def describe_import_error(self, error: BaseException) -> dict[str, Json]:
        """The reply when the project cannot be imported."""
        text = _describe_error(error, self._workplace)
        return {"failed": f"cannot be imported: {text}"}

    def answer(self, request: dict[str, Json]) -> dict[str, Json]:
        """Do what a request says."""
        for number in request["drop"]:
            self._objects.pop(number, None)
        if request["do"] == "ping":
            return {"result": None}
        with self._turn:
            self._nonce = request["nonce"]
        try:
            return self._do(request)
        except _CandidateError as error:
            return {"failed": str(error)[:_MAX_TEXT]}
        except MemoryError:
            return {"failed": "ran out of memory"}
        except BaseException as error:  # noqa: BLE001  # process boundary: untrusted code ran
            return _describe_raised(error, self._workplace)
        finally:
            with self._turn:  # whatever still runs has nobody to ask
                self._nonce = None

    def _do(self, request: dict[str, Json]) -> dict[str, Json]:
        positional, named = self._arguments(request)
        if request["do"] == "new":
            cls = _attribute(sys.modules[request["module"]], request["name"], "class")
            self._objects[request["number"]] = cls(*positional, **named)
            return {"result": None, "changed": {}}
        method = _attribute(self._objects[request["number"]], request["name"], "method")
        reply = self._call(method, positional, named)
        return {**reply, "changed": self._changed(request, [*positional, *named.values()])}

    def _arguments(self, request: dict[str, Json]) -> tuple[list[object], dict[str, object]]:
        positional, named = [], {}
        for name, kind, content in request["arguments"]:
            value: object
            if kind == "kept":
                value = self._objects[content]
            elif kind == "fake":
                value = self._make_fake(content)
            else:
                value = self._codec.decode(content)
            if name is None:
                positional.append(value)
            else:
                named[name] = value
        return positional, named

    def _make_fake(self, description: dict[str, Json]) -> object:
        """A dependency whose methods ask the judge."""

        def method(name: str, parameters: list[str]) -> Callable[..., object]:
            signature = Signature(
                [Parameter(one, Parameter.POSITIONAL_OR_KEYWORD) for one in parameters]
            )

            def ask(_self: object, *positional: object, **named: object) -> object:
                given = signature.bind(*positional, **named).arguments
                return self._ask({"fake": description["number"], "method": name}, given)

            ask.__name__ = name
            return ask

        methods = {name: method(name, taken) for name, taken in description["methods"].items()}
        return type(description["name"], (), methods)()

    def _ask(self, question: dict[str, Json], given: Mapping[str, object]) -> object:
        try:
            question["given"] = {name: self._codec.encode(one) for name, one in given.items()}
        except NotDataError as error:
            question["problem"] = str(error)[:_MAX_TEXT]
        with self._turn:
            if self._nonce is None:
                raise RuntimeError("a dependency was called after the method had returned")
            self._channel.send({"nonce": self._nonce, "ask": question})
            answer = self._channel.receive()
        if "raise" in answer:
            raise getattr(builtins, answer["raise"])(answer["message"])
        return self._codec.decode(answer["answer"])

    def _call(
        self, method: Callable[..., object], positional: list[object], named: dict[str, object]
    ) -> dict[str, Json]:
        try:
            value = method(*positional, **named)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # process boundary: untrusted code ran
            return _describe_raised(error, self._workplace)
        try:
            return {"result": self._codec.encode(value)}
        except NotDataError as error:
            raise _CandidateError(f"returned {error}") from error

    def _changed(self, request: dict[str, Json], values: list[object]) -> dict[str, Json]:
        """Arguments that are not what they were, by position."""
        changed = {}
        for position, (_name, kind, before) in enumerate(request["arguments"]):
            if kind != "value":
                continue
            try:
                after = self._codec.encode(values[position])
            except NotDataError as error:
                raise _CandidateError(f"left in an argument {error}") from error
            if after != before:
                changed[str(position)] = after
        return changed


def _attribute(owner: object, name: str, kind: str) -> Callable[..., object]:
    try:
        found: Callable[..., object] = getattr(owner, name)
    except AttributeError:
        where = getattr(owner, "__name__", type(owner).__name__)
        raise _CandidateError(f"`{where}` has no {kind} `{name}`") from None
    return found


def _describe_raised(error: BaseException, workplace: _Workplace) -> dict[str, Json]:
    if not isinstance(error, Exception):
        return {"failed": f"raised {_describe_error(error, workplace)}"}
    builtin = next(
        cls.__name__ for cls in type(error).__mro__ if vars(builtins).get(cls.__name__) is cls
    )
    return {
        "raised": {
            "type": builtin,
            "name": type(error).__name__[:_MAX_TEXT],
            "message": _text_of(error),
            "trace": list(_trace(error.__traceback__, workplace))[-_MAX_FRAMES:],
        }
    }


def _describe_error(error: BaseException, workplace: _Workplace) -> str:
    name = "sys.exit (SystemExit)" if isinstance(error, SystemExit) else type(error).__name__
    lines = [f"{name}: {_text_of(error)}"]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        name = error.filename.removeprefix(workplace.source_root)
        source = workplace.line(error.filename, error.lineno)
        lines = [f"{type(error).__name__}: {error.msg}", f"  {name}:{error.lineno}: {source}"]
    lines += list(_trace(error.__traceback__, workplace))[-_MAX_FRAMES:]
    return "\n".join(lines)[:_MAX_TEXT]


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:_MAX_TEXT]
    except BaseException as failure:  # noqa: BLE001  # process boundary: `__str__` is untrusted
        return f"(its message raised {type(failure).__name__})"


def _trace(traceback: TracebackType | None, workplace: _Workplace) -> Iterator[str]:
    """Lines of the project's own code, outermost first."""
    while traceback is not None:
        code, number = traceback.tb_frame.f_code, traceback.tb_lineno
        if code.co_filename.startswith(workplace.source_root):
            name = code.co_filename.removeprefix(workplace.source_root)
            line = workplace.line(code.co_filename, number)
            yield f"  {name}:{number} in {code.co_name}: {line}"
        traceback = traceback.tb_next
