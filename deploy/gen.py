"""Generates libs/gen from protos/: message, service and type-stub modules.

`python -m deploy.gen` writes libs/gen; `--check` generates elsewhere and fails when they differ.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

import google.api
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GENERATED = ROOT / "libs" / "gen"


def generate(target: Path) -> None:
    """Generate every contract under protos/podium into `target`."""
    sources = sorted(str(path) for path in PROTOS.glob("podium/**/*.proto"))
    # google.* comes from googleapis-common-protos; protos/google is there for buf alone.
    installed = Path(next(iter(google.api.__path__))).parent.parent
    well_known = Path(protoc.__file__).parent / "_proto"
    (target / "podium").mkdir(parents=True, exist_ok=True)
    options = [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
    # The modules leave the comments out, and the API's documentation is made of them.
    options += [f"--descriptor_set_out={target}/podium/descriptors.binpb", "--include_source_info"]
    includes = [f"-I{PROTOS}", f"-I{installed}", f"-I{well_known}"]
    if protoc.main(["protoc", *includes, *options, *sources]) != 0:
        raise SystemExit("protoc failed; what it said is above")
    for folder in {path.parent for path in target.rglob("*_pb2.py")}:
        for package in (folder, *folder.parents):
            if package == target:
                break
            (package / "__init__.py").touch()


def differences(left: Path, right: Path) -> list[str]:
    """Names of files that are missing on one side or are not the same on both."""
    return sorted(
        name
        for name in _modules(left) | _modules(right)
        if not (left / name).is_file()
        or not (right / name).is_file()
        or not filecmp.cmp(left / name, right / name, shallow=False)
    )


def main() -> None:
    """Write libs/gen, or say what would change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when libs/gen is not fresh")
    checking = parser.parse_args().check
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        stale = differences(GENERATED, fresh)
        if checking and stale:
            print("libs/gen is not fresh; run `make gen`:", *stale, sep="\n  ", file=sys.stderr)
            raise SystemExit(1)
        for name in stale:
            _bring(fresh / name, GENERATED / name)


def _bring(source: Path, target: Path) -> None:
    """Make `target` what `source` is, or is not; a running mesh never misses a file meanwhile."""
    if not source.exists():
        target.unlink()
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_suffix(".new")
    shutil.copyfile(source, scratch)
    scratch.replace(target)


def _modules(folder: Path) -> set[str]:
    found = [*folder.rglob("*.py"), *folder.rglob("*.pyi"), *folder.rglob("*.binpb")]
    return {path.relative_to(folder).as_posix() for path in found}


if __name__ == "__main__":
    main()
