"""Every command and program of docs/live_view.md works as it is written, against a live mesh."""

import re
import subprocess
import sys

import pytest

from deploy.layout import ROOT
from libs.settings import child_environment
from tests.mesh.test_readme import (
    PRELUDE,
    Section,
    as_here,
    checkout,
    needs_what_it_uses,
)

__all__ = ["checkout"]
# Twenty commands, one after the other; a busy machine takes seconds for each.
WITHIN_S = 300
PAGE = (ROOT / "docs" / "live_view.md").read_text()


@pytest.mark.timeout(2 * WITHIN_S)
def test_the_page_works_as_written(checkout, mesh):
    blocks = re.findall(r"^```(bash|python)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    needs_what_it_uses(Section("live view", blocks))
    script = [PRELUDE.format(python=sys.executable)]
    for number, (kind, text) in enumerate(blocks):
        if kind == "bash":
            script.append(as_here(text, mesh))
        else:
            program = checkout / f"live-{number}.py"
            program.write_text(as_here(text, mesh))
            script.append(f".venv/bin/python {program.name}")
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
        env=child_environment(PODIUM_HOME="var", PODIUM_API_KEY="", PODIUM_ADDRESS=""),
    )
    out = done.stdout
    assert done.returncode == 0, f"--- stdout\n{out}\n--- stderr\n{done.stderr}"
    assert "order,total" in out
    assert "/live#bs_" in out
    assert "ctl_" in out


def test_every_setting_of_the_page_exists():
    code = (ROOT / "services" / "browser_session" / "settings.py").read_text()
    for name in set(re.findall(r"PODIUM_[A-Z_]*[A-Z]", PAGE)):
        assert f"    {name.removeprefix('PODIUM_').lower()}: " in code, name


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
