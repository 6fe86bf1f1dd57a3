"""demo: the whole of Podium in one command, against a small real site.

It can be run again and again: what it made before is found and used again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from deploy import local
from deploy.demo import preparation, serving
from gateway.cli import hints, mesh, runs, watching
from gateway.cli.artifacts import save
from gateway.cli.commands import Command, terminal
from gateway.cli.exits import RUN_NOT_COMPLETED, Ended
from gateway.cli.terminal import Terminal
from gateway.cli.workflows import apply_source
from libs import errors
from libs.wire import as_dict
from podium.run.v1 import run_pb2
from podium.totp.v1 import totp_pb2
from podium.webhook.v1 import webhook_pb2

WEBHOOK_WITHIN_S = 15.0
COLUMNS = ("order_number", "date", "customer", "total", "status")


@click.command(cls=Command)
@click.option("--edge-port", default=local.DEFAULT_EDGE_PORT, show_default=True, help="For `up`.")
@terminal
def demo(term: Terminal, edge_port: int) -> None:
    """Start the mesh when it is not up, and run a real workflow in a real browser.

    The workflow signs in to a small web site with a password and a one-time code, reads a table,
    takes a screenshot, downloads a statement and looks into the open orders; a signed webhook
    tells of its end.
    """
    status = local.status(term.home) or mesh.bring_up(term, edge_port)
    term.tell(f"The mesh is up at http://{status.edge}")
    began = term.clock.monotonic()
    folder = serving.folder(term.home)
    servers = prepare(term, folder, status.supervisor_pid)
    request = run_pb2.CreateRunRequest(workflow_id=preparation.WORKFLOW_NAME)
    run_id = term.edge.ask(term.edge.run.CreateRun, request).run_id
    term.tell(f"Run {run_id} signs in at {servers.portal_url} and reads the orders:")
    ended = _to_the_end(term, run_id)
    if ended.state != run_pb2.RUN_STATE_COMPLETED:
        if term.as_json:
            term.emit({"run": as_dict(ended)})
        else:
            runs.print_end(term, ended, [])
        raise Ended(RUN_NOT_COMPLETED)
    files = [save(term, file, folder.path) for file in runs.artifacts(term, run_id)]
    message = _webhook(term, folder, run_id)
    took_s = term.clock.monotonic() - began
    _report(term, ended, files, message, took_s, status)


def prepare(term: Terminal, folder: serving.Folder, supervisor_pid: int) -> serving.Servers:
    """Site, webhook receiver, credential, endpoint and workflow, each made when missing."""
    is_new = preparation.customer(folder)
    servers = serving.start(term.home, supervisor_pid)
    _credential(term, folder, is_new)
    _endpoint(term, folder, servers.hooks_url)
    apply_source(term, preparation.definition(servers.portal_url))
    return servers


def _credential(term: Terminal, folder: serving.Folder, is_new: bool) -> None:
    totp = term.edge.totp
    name = preparation.CREDENTIAL_NAME
    if is_new:
        # One of an earlier demo would hold another seed.
        term.edge.ask(totp.DeleteCredential, totp_pb2.DeleteCredentialRequest(credential_id=name))
    login = preparation.login(folder)
    wanted = totp_pb2.CreateCredentialRequest(
        name=name,
        username=login["username"],
        password=login["password"],
        totp_seed=login["seed"],
    )
    try:
        term.edge.ask(totp.CreateCredential, wanted)
    except errors.Conflict:
        return  # It is there from the last time.


def _endpoint(term: Terminal, folder: serving.Folder, url: str) -> None:
    webhook = term.edge.webhook
    endpoint_id = folder.endpoint.read_text() if folder.endpoint.exists() else ""
    if endpoint_id:
        try:
            request = webhook_pb2.GetEndpointRequest(endpoint_id=endpoint_id)
            found = term.edge.ask(webhook.GetEndpoint, request).endpoint
        except errors.NotFound:
            found = webhook_pb2.Endpoint()
        if found.url == url and not found.disabled:
            return
        gone = webhook_pb2.DeleteEndpointRequest(endpoint_id=endpoint_id)
        term.edge.ask(webhook.DeleteEndpoint, gone)
    wanted = webhook_pb2.CreateEndpointRequest(
        url=url, event_types=["run.finished"], description="The demo's receiver"
    )
    made = term.edge.ask(webhook.CreateEndpoint, wanted)
    folder.keep(folder.secret, made.secret)
    folder.keep(folder.endpoint, made.endpoint.endpoint_id)


def _to_the_end(term: Terminal, run_id: str) -> run_pb2.Run:
    if term.as_json:
        for _ in watching.history(term, run_id):
            pass
    else:
        watching.follow(term, run_id)
    return runs.get(term, run_id)


def _webhook(term: Terminal, folder: serving.Folder, run_id: str) -> dict[str, Any]:
    deadline = term.clock.monotonic() + WEBHOOK_WITHIN_S
    while term.clock.monotonic() < deadline:
        for file in folder.messages.glob("*.json"):
            message = json.loads(file.read_text())
            if run_id in json.dumps(message["body"]):
                return message
        term.pause(0.05)
    raise errors.DeadlineExceeded(
        f"the webhook about {run_id} has not arrived; see `podium webhooks deliveries`"
    )


def _report(
    term: Terminal,
    ended: run_pb2.Run,
    files: list[Path],
    message: dict[str, Any],
    took_s: float,
    status: local.MeshStatus,
) -> None:
    output = as_dict(ended.output)
    if term.as_json:
        names = [str(file) for file in files]
        facts = {"run": as_dict(ended), "files": names, "webhook": message}
        term.emit(facts | {"seconds": round(took_s, 2)})
        return
    term.tell(f"\nOrders of {output['month']}:")
    term.out.print(_table(output["orders"]))
    for file in files:
        term.tell(f"Saved {file} ({file.stat().st_size} bytes)")
    verdict = "signature verified" if message["verified"] else f"NOT believed: {message['why_not']}"
    term.tell(f"Webhook {message['body']['type']} arrived ({message['webhook_id']}): {verdict}")
    term.tell(f"\nAll of it took {took_s:.1f} s.\n")
    term.tell(hints.text(status, ended.run_id, _relative(status.api_key_file)))


def _table(orders: list[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 2))
    for name in COLUMNS:
        table.add_column(name.replace("_", " "), justify="right" if name == "total" else "left")
    for order in orders:
        values = (order[name] for name in COLUMNS)
        table.add_row(*(f"{v:,.2f}" if isinstance(v, int | float) else v for v in values))
    return table


def _relative(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
