"""`python -m deploy.kubernetes`: renders the chart with Helm and checks it by Kubernetes' schemas.

python -m deploy.kubernetes            check: generated files, rendering, schemas
python -m deploy.kubernetes generate   write the generated files
python -m deploy.kubernetes render     print what Helm makes of the default values
python -m deploy.kubernetes secrets    print fresh Secrets, to be kept and applied once
python -m deploy.kubernetes certificates DIR
                                       print the certificates that `podium certs --dir DIR` made
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from deploy.kubernetes import generated, rendering, secrets


def check() -> None:
    """Fail with every complaint about the chart."""
    if stale := generated.stale():
        raise SystemExit(f"stale in deploy/chart/files: {', '.join(stale)}; run `make gen`")
    count = 0
    for name, values in rendering.variants().items():
        documents = rendering.render(values)
        if complaints := rendering.complaints(documents):
            raise SystemExit(f"the chart with {name}:\n" + "\n".join(complaints))
        count += len(documents)
    print(f"The chart renders, and Kubernetes' schemas accept all {count} documents.")


def main() -> None:
    """Do what was asked."""
    match sys.argv[1:]:
        case []:
            check()
        case ["generate"]:
            generated.write()
        case ["render"]:
            print(yaml.safe_dump_all(rendering.render({}), sort_keys=False))
        case ["secrets"]:
            print(yaml.safe_dump_all(secrets.documents(), sort_keys=False))
        case ["certificates", folder]:
            print(yaml.safe_dump_all(secrets.certificates(Path(folder)), sort_keys=False))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
