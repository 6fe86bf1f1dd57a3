"""workflows: definitions, saved and looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml

from gateway.cli.commands import Group, limit_option, terminal
from gateway.cli.terminal import Terminal
from libs import errors
from libs.wire import as_dict
from podium.workflow.v1 import workflow_pb2

FIELDS = (
    ("workflow", "workflow_id"),
    ("name", "name"),
    ("title", "title"),
    ("description", "description"),
    ("version", "version"),
    ("needs a browser", "needs_browser"),
    ("etag", "etag"),
    ("created", "create_time"),
    ("updated", "update_time"),
)
COLUMNS = (
    ("workflow", "workflow_id"),
    ("name", "name"),
    ("version", "version"),
    ("title", "title"),
    ("updated", "update_time"),
)
SUFFIXES = {".yaml", ".yml", ".json"}


@click.group(cls=Group)
def workflows() -> None:
    """Save workflow definitions and look at them."""


@workflows.command("list")
@limit_option
@terminal
def list_(term: Terminal, limit: int) -> None:
    """Workflows by name, each in its newest version."""
    request = workflow_pb2.ListWorkflowsRequest()
    found = term.edge.pages(term.edge.workflow.ListWorkflows, request, "workflows", limit)
    term.show_list("workflows", found, COLUMNS)


@workflows.command()
@click.argument("workflow")
@click.option("--version", default=0, help="The newest by default.")
@click.option("--document", is_flag=True, help="Print the definition as YAML.")
@terminal
def get(term: Terminal, workflow: str, version: int, document: bool) -> None:
    """One workflow, by name or id."""
    request = workflow_pb2.GetWorkflowRequest(workflow_id=workflow, version=version)
    found = term.edge.ask(term.edge.workflow.GetWorkflow, request).workflow
    if document and not term.as_json:
        click.echo(yaml.safe_dump(as_dict(found.document), sort_keys=False, allow_unicode=True))
        return
    term.show(found, FIELDS)


@workflows.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@terminal
def apply(term: Terminal, file: Path) -> None:
    """Save the definition in FILE (YAML or JSON; "-" for stdin), new or as a new version."""
    term.show(apply_file(term, file), FIELDS)


@workflows.command()
@click.argument("workflow")
@terminal
def delete(term: Terminal, workflow: str) -> None:
    """Take a workflow out of use; runs that have begun go on."""
    request = workflow_pb2.DeleteWorkflowRequest(workflow_id=workflow)
    term.edge.ask(term.edge.workflow.DeleteWorkflow, request)
    if term.as_json:
        term.emit({"deleted": workflow})
    term.tell(f"{workflow} is out of use.")


@workflows.command()
@click.argument("kind", required=False)
@terminal
def kinds(term: Terminal, kind: str | None) -> None:
    """The kinds of block; with KIND, the JSON Schema of its parameters."""
    request = workflow_pb2.ListBlockKindsRequest()
    found = term.edge.ask(term.edge.workflow.ListBlockKinds, request).block_kinds
    if kind is None:
        columns = (("kind", "kind"), ("browser", "needs_browser"), ("what it does", "summary"))
        term.show_list("block_kinds", found, columns)
        return
    for one in found:
        if one.kind == kind:
            term.emit(as_dict(one.params_schema))
            return
    raise errors.NotFound("block kind", kind)


def document_file(target: str) -> Path | None:
    """The definition file that `target` names, or None when it names a saved workflow."""
    path = Path(target)
    if path.suffix in SUFFIXES or "/" in target or target == "-":
        if target != "-" and not path.is_file():
            raise click.UsageError(f"there is no file {target}")
        return path
    return None


def apply_file(term: Terminal, file: Path) -> workflow_pb2.Workflow:
    """Save the definition in a file; the same document as the newest version changes nothing."""
    try:
        with click.open_file(str(file), encoding="utf-8") as opened:
            source = opened.read()
    except (OSError, UnicodeDecodeError) as why:
        raise click.UsageError(f"cannot read {file}: {why}") from None
    return apply_source(term, source)


def apply_source(term: Terminal, source: str) -> workflow_pb2.Workflow:
    """Save a definition given as text."""
    stub = term.edge.workflow
    name = _name(source)
    if name:
        try:
            update = workflow_pb2.UpdateWorkflowRequest(workflow_id=name, source=source)
            return term.edge.ask(stub.UpdateWorkflow, update).workflow
        except errors.NotFound:
            pass  # It is new.
    create = workflow_pb2.CreateWorkflowRequest(source=source)
    return term.edge.ask(stub.CreateWorkflow, create).workflow


def _name(source: str) -> str:
    """The name in the definition; empty when it has none, which the service explains better."""
    try:
        document: Any = yaml.safe_load(source)
    except yaml.YAMLError:
        return ""
    name = document.get("name") if isinstance(document, dict) else None
    return name if isinstance(name, str) else ""
