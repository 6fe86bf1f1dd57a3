"""Every command and program of the README works as it is written, against a live mesh.

The commands run in a folder that looks like a checkout whose `var` is the test's home; only the
ports differ, and an HTTP error makes curl fail. grpcurl is not on every machine, so
tests/mesh/grpcurl.py stands in for it and makes the same calls by reflection. Of the `make` targets
that set up the machine, start or stop the mesh or run all tests, it is checked that they exist and
that what they would run is well-formed.
"""

import base64
import hashlib
import hmac
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.demo import serving
from deploy.layout import ROOT
from libs.settings import child_environment
from services.workflow.blocks import BLOCKS

README = (ROOT / "README.md").read_text()
PAGES = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", *PAGES)
PRELUDE = """\
set -eo pipefail
grpcurl() {{ {python} -m tests.mesh.grpcurl "$@"; }}
curl() {{ command curl --fail-with-body "$@"; }}
make() {{
  case "$1" in
    call|trace|status) command make -o setup "$@" ;;
    *) command make -n "$@" >/dev/null ;;
  esac
}}
"""


@dataclass
class Section:
    """A heading of the README with its fenced blocks in order."""

    title: str
    blocks: list[tuple[str, str]] = field(default_factory=list)


def sections():
    found = []
    for part in re.split(r"^(?=#{2,3} )", README, flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"^```(\w+)\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
        found.append(Section(part.splitlines()[0].strip("# "), blocks))
    return [section for section in found if section.blocks]


@pytest.fixture(scope="module")
def checkout(mesh, tmp_path_factory):
    """A folder like a fresh clone in which `make demo` has just run."""
    folder = tmp_path_factory.mktemp("checkout")
    for entry in ROOT.iterdir():
        if entry.name not in ("var", ".git", ".pytest_cache", ".ruff_cache", ".venv"):
            (folder / entry.name).symlink_to(entry)
    (folder / "var").symlink_to(mesh.home)
    (folder / ".venv").symlink_to(Path(sys.executable).parent.parent)
    run(folder, ".venv/bin/podium demo", mesh)
    yield folder
    # A reader may leave a session open; the tests after these count browsers.
    listed = json.loads(run(folder, ".venv/bin/podium sessions list --json", mesh))
    for session in listed["sessions"]:
        run(folder, f".venv/bin/podium sessions close {session['browser_session_id']}", mesh)


def run(folder, script, mesh, limit_s=110):
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
        env=child_environment(PODIUM_HOME="var", PODIUM_API_KEY="", PODIUM_ADDRESS=""),
    )
    assert done.returncode == 0, f"{script}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
    return done.stdout


def as_here(text, mesh):
    """The README's addresses as they are in this test."""
    servers = serving.running(mesh.home)
    assert servers is not None
    portal = servers.portal_url.removeprefix("http://")
    return text.replace("127.0.0.1:8090", portal).replace("127.0.0.1:8080", mesh.edge)


def exports_before(section):
    lines = []
    for earlier in sections():
        if earlier.title == section.title:
            return lines
        for kind, text in earlier.blocks:
            lines += [x for x in text.splitlines() if kind == "bash" and x.startswith("export ")]
    raise LookupError(section.title)


def needs_what_it_uses(section):
    """curl and jq are the reader's own; a machine without them cannot try these commands."""
    text = "".join(text for kind, text in section.blocks if kind == "bash")
    for program in ("curl", "jq"):
        if re.search(rf"\b{program}\b", text) and shutil.which(program) is None:
            pytest.skip(f"{program} is not installed on this machine")


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.title)
def test_the_section_works_as_written(checkout, mesh, section):
    needs_what_it_uses(section)
    script = [PRELUDE.format(python=sys.executable), *exports_before(section)]
    for number, (kind, text) in enumerate(section.blocks):
        if kind == "bash":
            script.append(as_here(text, mesh))
        elif kind == "python":
            program = checkout / f"block-{number}.py"
            program.write_text(as_here(text, mesh))
            script.append(f".venv/bin/python {program.name}")
        elif kind == "yaml":
            (name,) = re.findall(r"^name: (\S+)", text, re.MULTILINE)
            (checkout / f"{name}.yaml").write_text(as_here(text, mesh))
    run(checkout, "\n".join(script), mesh)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES)
def test_the_page_works_as_written(checkout, mesh, page):
    """Its examples are one story, told from top to bottom."""
    blocks = re.findall(
        r"^```(\w+)\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL
    )
    needs_what_it_uses(Section(page, blocks))
    script = [PRELUDE.format(python=sys.executable)]
    for number, (kind, text) in enumerate(blocks):
        if kind == "bash":
            script.append(as_here(text, mesh))
        elif kind == "python":
            program = checkout / f"{Path(page).stem}-{number}.py"
            program.write_text(as_here(text, mesh))
            script.append(f".venv/bin/python {program.name}")
    run(checkout, "\n".join(script), mesh, limit_s=200)


def test_what_the_readme_promises_is_what_comes_out(checkout, mesh):
    rest = next(section for section in sections() if section.title == "REST")
    needs_what_it_uses(rest)
    script = [PRELUDE.format(python=sys.executable), *exports_before(rest)]
    script += [as_here(text, mesh) for _, text in rest.blocks]
    out = run(checkout, "\n".join(script), mesh)
    assert "event: run.finished" in out
    assert '"orders": [' in out
    assert "order,date,customer,status,total" in out


def test_the_snippet_that_verifies_webhooks_is_strict():
    programs = [t for section in sections() for kind, t in section.blocks if kind == "python"]
    (snippet,) = [text for text in programs if "def is_genuine" in text]
    names = {}
    exec(snippet, names)
    secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
    stamp, body = str(int(time.time())), b"{}"
    mac = hmac.new(b"k" * 24, f"evt_1.{stamp}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
    assert names["is_genuine"](secret, headers, body)
    assert not names["is_genuine"](secret, headers, b"[]")
    assert not names["is_genuine"](secret, headers | {"webhook-timestamp": "1"}, body)


def test_the_table_of_blocks_is_that_of_the_engine():
    (table,) = re.findall(r"^\| block \|.*?\n\|[-|]+\n(.*?)\n\n", README, re.M | re.S)
    browser = {True: "yes", False: "no"}
    assert table.splitlines() == [
        f"| `{kind}` | {browser[block.needs_browser]} | {block.summary} |"
        for kind, block in sorted(BLOCKS.items())
    ]


@pytest.mark.parametrize("document", ["README.md", *PAGES])
def test_every_setting_that_is_named_exists(document):
    code = "\n".join(
        path.read_text()
        for folder in ("libs", "services", "gateway", "deploy")
        for path in (ROOT / folder).rglob("*.py")
        if "gen" not in path.parts
    )
    code += (ROOT / "docker-compose.yml").read_text()
    for name in set(re.findall(r"PODIUM_[A-Z_]*[A-Z]", (ROOT / document).read_text())):
        word = name.removeprefix("PODIUM_").lower()
        assert name in code or re.search(rf"^    {word}: ", code, re.MULTILINE), name


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / document).read_text()):
        assert ((ROOT / document).parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_name_no_machine_and_no_registry(document):
    text = (ROOT / document).read_text()
    assert not re.search(r"/(home|work|root|tmp)/|pypi|python[h]osted|npm[j]s|docker\.io", text)
