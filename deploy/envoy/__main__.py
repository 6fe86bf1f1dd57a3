"""`python -m deploy.envoy`: has Envoy itself validate the configurations we would give it."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from deploy import binaries, layout
from deploy.certs.issuer import Issuer
from deploy.compose import addresses
from deploy.discovery import files
from deploy.envoy import config, tls, traffic
from libs.rpc import spiffe


def main() -> None:
    """Fail with Envoy's own words when it would refuse or warn."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        mtls = _tls(folder)
        plans = {
            "local": _sample(folder),
            "local-tls": replace(_sample(folder), tls=mtls),
            "compose": replace(_compose(), tls=mtls),
        }
        for name, plan in plans.items():
            if plan.endpoints:
                files.prepare(Path(plan.endpoints), plan.clusters(), anew=True)
            file = folder / f"{name}.json"
            file.write_text(json.dumps(config.build(plan)))
            _validate(file)
    print("Envoy accepts its configurations.")


def _validate(file: Path) -> None:
    command = [binaries.envoy(), "--mode", "validate", "--log-level", "warn", "-c", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    complaints = done.stderr.strip()
    if done.returncode != 0 or complaints:
        raise SystemExit(f"Envoy does not accept {file.name}:\n{complaints}")


def _tls(folder: Path) -> tls.Tls:
    """Real certificates: Envoy reads them when it looks at the configuration."""
    Issuer.of(folder).issue_due()
    found = tls.Tls(str(folder / spiffe.ENVOY), str(folder))
    for name, content in tls.secrets(found).items():
        (folder / name).write_text(json.dumps(content))
    return found


def _compose() -> config.Plan:
    return addresses.plan(layout.services())


def _sample(folder: Path) -> config.Plan:
    """Two replicas of everything, on sockets nobody opens."""

    def sockets(name: str) -> list[str]:
        return [f"unix:{folder}/{name}-{number}.sock" for number in (1, 2)]

    return config.Plan(
        edge="127.0.0.1:8080",
        mesh=f"unix:{folder}/mesh.sock",
        admin=f"unix:{folder}/admin.sock",
        services={name: sockets(name) for name in layout.services()},
        gateway_grpc=sockets("gateway"),
        gateway_http=sockets("gateway-http"),
        endpoints=str(folder / "endpoints"),
        otlp="http://127.0.0.1:4318",
        # Every kind of rule, for Envoy to look at.
        traffic=traffic.load().model_copy(update={"canary": {"task": traffic.Canary(percent=5)}}),
    )


if __name__ == "__main__":
    main()
