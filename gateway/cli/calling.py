"""call: any public RPC, by name, with its request as JSON. Dynamic over the descriptors."""

from __future__ import annotations

import json
import sys

import click
from google.protobuf import json_format
from google.protobuf.message import Message

from gateway import catalog
from gateway.cli.commands import Command, terminal
from gateway.cli.terminal import Terminal
from libs import errors
from libs.wire import as_dict


@click.command(cls=Command)
@click.argument("rpc", required=False)
@click.argument("data", default="{}")
@click.option("--timeout", default=30.0, show_default=True, help="In seconds; not for streams.")
@terminal
def call(term: Terminal, rpc: str | None, data: str, timeout: float) -> None:
    """Call an RPC: podium call run.GetRun '{"run_id": "run_…"}'.

    DATA is the request as JSON; "-" reads it from stdin, which is the way for secrets. Without RPC,
    all of them are listed. The answer is JSON; of a stream, one JSON document a line.
    """
    if rpc is None:
        _list(term)
        return
    method = find(rpc)
    request = _request(method, sys.stdin.read() if data == "-" else data)
    channel = term.edge.channel
    ready = (channel.unary_stream if method.rpc.streaming else channel.unary_unary)(
        method.rpc.path,
        request_serializer=method.request.SerializeToString,
        response_deserializer=method.response.FromString,
    )
    if not method.rpc.streaming:
        term.emit(as_dict(term.edge.ask(ready, request, timeout_s=timeout)))
        return
    for answer in term.edge.stream(ready, request):
        click.echo(json.dumps(as_dict(answer), ensure_ascii=False))


def _list(term: Terminal) -> None:
    known = [
        {"rpc": f"{method.upstream}.{method.rpc.name}", "http": _http(method)}
        for method in catalog.public_methods()
    ]
    if term.as_json:
        term.emit({"rpcs": known})
        return
    for one in known:
        term.tell(f"{one['rpc']:<38} {one['http']}")


def _http(method: catalog.Method) -> str:
    return f"{method.bindings[0].verb} {method.bindings[0].template}"


def find(rpc: str) -> catalog.Method:
    """The public RPC of this name: run.GetRun, or podium.run.v1.RunService/GetRun."""
    wanted = rpc.replace("/", ".")
    methods = catalog.public_methods()
    for method in methods:
        if wanted in (f"{method.upstream}.{method.rpc.name}", method.rpc.method.full_name):
            return method
    service = wanted.split(".")[0]
    near = [f"{m.upstream}.{m.rpc.name}" for m in methods if m.upstream == service]
    advice = f"; {service} has {', '.join(near)}" if near else "; `podium call` lists them all"
    raise errors.NotFound(f'there is no public RPC "{rpc}"{advice}')


def _request(method: catalog.Method, text: str) -> Message:
    try:
        return json_format.Parse(text, method.request())
    except json_format.ParseError as why:
        raise errors.Invalid("", f"not a {method.request.DESCRIPTOR.name}: {why}") from None
