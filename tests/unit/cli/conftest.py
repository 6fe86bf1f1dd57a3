"""The command against a small edge: each module brings the servicers that answer."""

import io
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc
import pytest

from gateway.cli import root


class Printed(NamedTuple):
    """What a command wrote."""

    out: str
    err: str


@pytest.fixture
def serving(monkeypatch) -> Callable[..., Any]:
    """Serves a fake edge inside a block, where the command then finds it."""

    @contextmanager
    def served(fake: Any, *adders: Callable[[Any, grpc.Server], None]) -> Iterator[Any]:
        server = grpc.server(futures.ThreadPoolExecutor(4))
        for add in adders:
            add(fake, server)
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        monkeypatch.setenv("PODIUM_ADDRESS", address)
        server.start()
        yield fake
        server.stop(0)

    return served


@pytest.fixture
def podium(edge, tmp_path, monkeypatch, capsys) -> Callable[..., Printed]:
    """Runs the command and answers what it printed, once it has ended with `code`."""
    monkeypatch.setenv("PODIUM_API_KEY", "key-of-the-test")
    monkeypatch.setenv("PODIUM_HOME", str(tmp_path))

    def invoke(*arguments: str, code: int = 0, stdin: str | None = None) -> Printed:
        if stdin is not None:
            monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            root.main(arguments)
        printed = capsys.readouterr()
        assert ended.value.code == code, printed.err
        return Printed(printed.out, printed.err)

    return invoke
