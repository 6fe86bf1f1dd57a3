"""Files that came out of sessions: how they are listed, how they are saved."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.terminal import Terminal
from podium.browser_session.v1 import browser_session_pb2 as pb

ARTIFACT_COLUMNS = (
    ("artifact", "artifact_id"),
    ("kind", "kind"),
    ("name", "name"),
    ("bytes", "size_bytes"),
    ("type", "content_type"),
    ("run", "run_id"),
)


def save(term: Terminal, artifact: pb.Artifact, output: Path) -> Path:
    """Write the bytes of an artifact to a file, or into a folder under its own name."""
    target = output / Path(artifact.name).name if output.is_dir() else output
    request = pb.GetArtifactContentRequest(artifact_id=artifact.artifact_id)
    try:
        # Written aside first, so that a broken stream leaves no half file under the name.
        partial = target.with_name(target.name + ".part")
        with partial.open("wb") as file:
            for piece in term.edge.stream(term.edge.browser_session.GetArtifactContent, request):
                file.write(piece.data)
        partial.replace(target)
    except OSError as why:
        raise click.UsageError(f"cannot write {target}: {why.strerror}") from None
    return target
