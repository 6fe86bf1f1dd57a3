"""The chart as Helm renders it, and what Kubernetes' published schemas say about that."""

from __future__ import annotations

import importlib
from typing import Any

import yaml

from deploy.kubernetes import generated

RELEASE = "podium"
KUBERNETES = "1.33"
# Their schemas are not Kubernetes' own.
FOREIGN = ("monitoring.coreos.com/", "cert-manager.io/")


def variants() -> dict[str, dict[str, Any]]:
    """The default values and each example, by name."""
    folder = generated.chart() / "examples"
    examples = {each.name: yaml.safe_load(each.read_text()) for each in folder.glob("*.yaml")}
    return {"its default values": {}, **examples}


def render(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Every document that `helm template` would print."""
    # Not imported above: its library holds 60 MB, and `secrets` needs none of it.
    helm = importlib.import_module("helm_python.chart")
    with helm.Chart.load(str(generated.chart())) as chart:
        manifests = chart.render(values, name=RELEASE)
    documents = [yaml.safe_load_all(text) for _, text in sorted(manifests.items())]
    return [each for found in documents for each in found if each]


def complaints(documents: list[dict[str, Any]]) -> list[str]:
    """What the schemas do not accept, with the document and the place in it."""
    validate = importlib.import_module("kubernetes_validate")
    found = []
    for document in documents:
        if document["apiVersion"].startswith(FOREIGN):
            continue
        try:
            validate.validate(document, KUBERNETES, strict=True)
        except validate.ValidationError as error:
            place = ".".join(str(step) for step in error.path)
            name = document["metadata"]["name"]
            found.append(f"{document['kind']} {name}: {place}: {error.message}")
    return found
