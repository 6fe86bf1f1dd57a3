"""What the demo needs before it can run: a customer of the portal, and the workflow for it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from deploy.demo.codes import Authenticator
from deploy.demo.serving import Folder
from libs import ids

CREDENTIAL_NAME = "acme-portal"
WORKFLOW_NAME = "acme-orders"
USERNAME = "dana@northwind.example"
# A short step, so that running the demo twice in a row does not mean waiting half a minute for
# a code that was not used yet.
PERIOD_S = 5
_DEFINITION = Path(__file__).with_name("workflow.yaml")
_URL_DEFAULT = "http://127.0.0.1:8090"


def customer(folder: Folder) -> bool:
    """Make up the portal's customer, with secrets of this home alone; False when there is one."""
    if folder.customer.exists():
        return False
    seed = base64.b32encode(ids.random_bytes(20)).decode()
    uri = Authenticator(seed, PERIOD_S).uri(USERNAME, "Acme Supplies")
    login = {"username": USERNAME, "password": ids.token(12), "seed": uri}
    folder.keep(folder.customer, json.dumps(login))
    return True


def login(folder: Folder) -> dict[str, str]:
    """User name, password and seed."""
    return json.loads(folder.customer.read_text())


def definition(portal_url: str) -> str:
    """The workflow as YAML, with the portal's address as the default of its parameter."""
    return _DEFINITION.read_text().replace(_URL_DEFAULT, portal_url)
