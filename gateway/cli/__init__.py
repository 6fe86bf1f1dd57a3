"""The `podium` command: a client of the edge like any other, and the switch of a local mesh.

It talks gRPC to the edge with an API key and owns no rules of its own. Everything it prints for
machines (`--json`) goes to stdout alone; words for people about trouble go to stderr.
"""

from gateway.cli.root import main

__all__ = ["main"]
