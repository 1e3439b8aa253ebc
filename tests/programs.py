"""Our programs as processes that begin at once: forked from a nursery, a process that has loaded all of it before.

What a test sees is the program itself: arguments, folder, environment, pipes, signals and exit code are its own. Only
how Python starts is left out, which takes a second each time, and which `tests/app/cli/test_cli.py` looks at.

``python -m tests.programs FOLDER`` is the nursery. It listens in the folder, and ends when its input does.
"""

from __future__ import annotations

import array
import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from tests.conftest import ROOT

FLEXHUB: Final = "flexhub.app.cli"
START_S: Final = 60.0
MOST_BYTES: Final = 1 << 18
"""Of a request; an environment is in it."""

Stream = int | IO[Any]


class Running:
    """A program that runs, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, talk: socket.socket, stdout: IO[str] | None) -> None:
        self._talk = talk
        self._answers = talk.makefile("r", encoding="ascii")
        self.stdout = stdout
        self.returncode: int | None = None
        self.pid = int(self._answers.readline())

    def send_signal(self, signum: int) -> None:
        """Unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; negative where a signal ended it.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        if self.returncode is None:
            if not select.select([self._talk], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._talk.close()
        return self.returncode


def start(
    *arguments: str | Path,
    module: str = FLEXHUB,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = subprocess.PIPE,
    stderr: Stream | None = None,
    own_session: bool = False,
) -> Running:
    """Begin a program.

    Args:
        arguments: of the command line.
        module: its `main` is called.
        cwd: the folder that it is in.
        env: its environment; that of this process where None.
        stdin, stdout, stderr: as of `subprocess.Popen`; only stdout may be a pipe, which is read as text.
        own_session: whether it leads a session of its own.
    """
    told = {
        "module": module,
        "arguments": list(map(str, arguments)),
        "cwd": str(cwd),
        "env": dict(os.environ if env is None else env),
        "own_session": own_session,
    }
    talk = socket.socket(socket.AF_UNIX)
    talk.connect(_nursery())
    with ExitStack() as opened:
        none = opened.enter_context(Path(os.devnull).open("r+b"))
        reading: IO[str] | None = None
        handed = []
        for stream in (stdin, stdout, sys.__stderr__ if stderr is None else stderr):
            if stream == subprocess.PIPE:
                reader, writer = os.pipe()
                reading = os.fdopen(reader, "r")
                handed.append(opened.enter_context(os.fdopen(writer, "wb")).fileno())
            else:
                assert stream is not None
                chosen: Any = none if stream == subprocess.DEVNULL else stream
                handed.append(chosen if isinstance(chosen, int) else chosen.fileno())
        talk.sendmsg([json.dumps(told).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", handed))])
        talk.shutdown(socket.SHUT_WR)
        return Running(talk, reading)


class Ran(NamedTuple):
    """What a program left."""

    code: int
    out: str
    err: str


def run(
    *arguments: str | Path,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float = 60,
) -> Ran:
    """Have a program run to its end.

    Raises:
        subprocess.TimeoutExpired: it takes longer than this, s; it is ended.
    """
    with ExitStack() as opened:
        given, out, err = (opened.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        given.write(stdin)
        given.seek(0)
        program = start(*arguments, cwd=cwd, env=env, stdin=given, stdout=out, stderr=err)
        try:
            code = program.wait(timeout)
        finally:
            program.kill()
        for file in (out, err):
            file.seek(0)
        return Ran(code, out.read().decode(), err.read().decode())


@cache
def _nursery() -> str:
    """Where the nursery of this process listens, which is started now."""
    folder = tempfile.TemporaryDirectory(prefix="nursery-")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.programs", folder.name],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def end() -> None:
        process.communicate(timeout=START_S)
        folder.cleanup()

    atexit.register(end)
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def _main(folder: str) -> None:
    import_module(FLEXHUB)
    for file in (ROOT / "flexhub" / "app" / "commands").glob("[!_]*.py"):
        import_module(f"flexhub.app.commands.{file.stem}")
    import_module("flexhub.app.wiring")
    gc.freeze()  # else each of its children would copy what a collection touches
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who serve a connection
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{folder}/socket")
        listening.listen()
        os.write(1, f"{folder}/socket\n".encode())
        while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:
            talk, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _serve(talk)
            talk.close()


def _serve(talk: socket.socket) -> None:
    """One program: this process forks it, waits for it, and says how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, handed, *_ = socket.recv_fds(talk, MOST_BYTES, 3)
    while piece := talk.recv(MOST_BYTES):
        request += piece
    told = json.loads(request)
    pid = os.fork()
    if pid == 0:
        talk.close()
        _become(told, handed)
    for fd in (*handed, 0, 1):
        os.close(fd)
    talk.sendall(f"{pid}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    talk.sendall(f"{code}\n".encode())
    os._exit(0)


def _become(told: dict[str, Any], handed: Sequence[int]) -> None:
    """Be the program, until it exits."""
    if told["own_session"]:
        os.setsid()
    for fd, at in enumerate(handed):
        os.dup2(at, fd)
        os.close(at)
    os.chdir(told["cwd"])
    os.environ.clear()
    os.environ.update(told["env"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [told["module"], *told["arguments"]]
    import_module(told["module"]).main()
    sys.exit()


if __name__ == "__main__":
    _main(sys.argv[1])
