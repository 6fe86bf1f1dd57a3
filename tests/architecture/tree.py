"""The source tree as the architecture tests see it."""

import ast
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
GENERATED = ROOT / "libs" / "gen"
PACKAGES = ("services", "gateway", "libs", "deploy", "tests")


def python_files(*packages: str) -> list[Path]:
    """Every hand-written module of the packages (all of them when none is named)."""
    found = []
    for package in packages or PACKAGES:
        found += sorted((ROOT / package).rglob("*.py"))
    return [path for path in found if GENERATED not in path.parents]


def service_folders() -> list[Path]:
    """The folders that are services."""
    return sorted(main.parent for main in (ROOT / "services").glob("*/__main__.py"))


def committed_files() -> list[Path]:
    """Every file that git has or would take."""
    git = ["git", "-c", "safe.directory=*"]
    command = [*git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


@functools.cache
def parsed(path: Path) -> ast.Module:
    """A module's syntax tree, read once for all tests."""
    return ast.parse(path.read_text())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a module, methods and inner ones too."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imported_modules(path: Path) -> set[str]:
    """Dotted names a module imports; `from a import b` counts as both a and a.b."""
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def relative(path: Path) -> str:
    """A path as a person names it."""
    return path.relative_to(ROOT).as_posix()
