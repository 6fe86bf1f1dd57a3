"""admin: what keeps the mesh sound, for those who run it."""

from __future__ import annotations

import click

from gateway.cli.commands import Group


@click.group(cls=Group)
def admin() -> None:
    """Check and mend what the mesh keeps."""
