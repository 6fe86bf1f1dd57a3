"""The menu, the README and what CI runs agree."""

import re
import subprocess

import pytest

from tests.architecture import tree

EXPECTED = {"setup", "up", "down", "status", "demo", "test", "check", "fix", "gen", "call"}
EXPECTED |= {"trace", "totp"}
README = tree.ROOT / "README.md"


def _menu():
    done = subprocess.run(["make"], cwd=tree.ROOT, capture_output=True, text=True, check=True)
    return dict(re.findall(r"^ +make (\S+) +(.+)$", done.stdout, re.MULTILINE))


def test_make_prints_every_target_with_its_meaning():
    menu = _menu()
    targets = re.findall(r"^\.PHONY: (\S+)$", (tree.ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(menu) == set(targets) >= EXPECTED


def test_ci_says_the_same_words_as_the_laptop():
    script = (tree.ROOT / ".ci" / "run").read_text()
    assert re.findall(r"^make (\w+)$", script, re.MULTILINE) == ["check", "test"]


@pytest.mark.skipif(not README.exists(), reason="there is no README yet")
def test_the_readme_uses_targets_that_exist():
    named = set(re.findall(r"`make ([a-z-]+)", README.read_text()))
    named |= set(re.findall(r"^make ([a-z-]+)", README.read_text(), re.MULTILINE))
    assert named <= set(_menu())
