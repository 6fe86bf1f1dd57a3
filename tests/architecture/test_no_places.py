"""Nothing in the tree names the machine it was written on, or a host packages come from."""

import re

from tests.architecture import tree

# Written in pieces, so that this file does not name them either.
PLACES = [
    r"pypi" r"\.org",
    r"python" r"hosted\.org",
    r"npmjs" r"\.(org|com)",
    r"deb\." r"debian\.org",
    r"/opt" r"/(wheels|pypi)",
    r"/wo" r"rk/(main|shared|\.library)",
    r"/tmp" r"/w/",
]
PATTERN = re.compile("|".join(PLACES))


def test_no_registry_host_and_no_path_of_this_machine():
    named = [
        f"{tree.relative(path)}:{number}"
        for path in tree.committed_files()
        for number, line in enumerate(_lines(path), start=1)
        if PATTERN.search(line)
    ]
    assert not named


def test_the_locks_hold_versions_and_hashes_alone():
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (tree.ROOT / name).read_text().splitlines()
        assert not [line for line in lines if line.startswith("-")], f"{name} carries options"
        assert not [line for line in lines if "://" in line], f"{name} carries addresses"


def _lines(path):
    try:
        return path.read_text().splitlines()
    except UnicodeDecodeError:
        return []
