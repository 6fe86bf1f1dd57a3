"""What to try once the demo has run: commands that work as they are printed."""

from __future__ import annotations

from deploy.local import MeshStatus

_TEXT = """\
The mesh stays up. Poke at it:
  make call RPC=run.GetRun DATA='{{"run_id": "{run_id}"}}'
  make trace RUN={run_id}
  curl -s -H "x-api-key: $(cat {key})" http://{edge}/v1/runs/{run_id}
  grpcurl -plaintext -H "x-api-key: $(cat {key})" \\
    -d '{{"run_id": "{run_id}"}}' {edge} podium.run.v1.RunService/GetRun
  .venv/bin/podium run acme-orders -p month="August 2026" --stats
The API's pages: http://{edge}/docs
Stop it: make down"""

_COMPOSE = """\
The mesh stays up. Poke at it:
  docker compose run --rm podium runs get {run_id}
  docker compose run --rm podium run acme-orders -p month="August 2026" --stats
  KEY=$(docker compose exec gateway cat /secrets/podium_first_api_key)
  curl -s -H "x-api-key: $KEY" http://127.0.0.1:8080/v1/runs/{run_id}
The API's pages: http://127.0.0.1:8080/docs
Stop it: docker compose down (with -v: forget everything, too)"""


def text(mesh: MeshStatus, run_id: str, key_file: str) -> str:
    """The hints for this mesh and this run."""
    return _TEXT.format(run_id=run_id, edge=mesh.edge, key=key_file)


def compose(run_id: str) -> str:
    """The hints for a run of the compose mesh; the demo saw it from inside."""
    return _COMPOSE.format(run_id=run_id)
