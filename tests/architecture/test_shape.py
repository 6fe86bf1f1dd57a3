"""Every service has the same rooms under the same names."""

import ast

import pytest

from tests.architecture import tree

REQUIRED = ("__init__.py", "__main__.py", "service.py", "domain.py", "store.py", "wire.py")
# What people call things when they do not know the house's word, and the word.
STRANGERS = {
    "api": "service.py",
    "server": "service.py",
    "servicer": "service.py",
    "handlers": "service.py or events.py",
    "consumers": "events.py",
    "subscribers": "events.py",
    "models": "domain.py or store.py",
    "entities": "domain.py",
    "rules": "domain.py",
    "db": "store.py",
    "database": "store.py",
    "repository": "store.py",
    "tables": "store.py",
    "convert": "wire.py",
    "mapping": "wire.py",
    "serializers": "wire.py",
    "config": "settings.py",
    "util": "the name of what it does",
    "utils": "the name of what it does",
    "helpers": "the name of what it does",
    "common": "the name of what it does",
    "misc": "the name of what it does",
    "base": "the name of what it does",
    "types": "domain.py",
    "constants": "the module that uses them",
}
EMPTY_ENDINGS = ("Manager", "Helper", "Util", "Utils", "Base", "Impl")

folders = pytest.mark.parametrize("folder", tree.service_folders(), ids=lambda path: path.name)


@folders
def test_a_service_has_every_room(folder):
    missing = [
        name
        for name in REQUIRED
        # A room that grew too large is a folder of the same name.
        if not (folder / name).is_file() and not (folder / name.removesuffix(".py")).is_dir()
    ]
    assert not missing, f"services/{folder.name} lacks {missing}"


@folders
def test_a_service_calls_its_rooms_by_their_names(folder):
    strangers = {
        tree.relative(path): f"belongs in {STRANGERS[path.stem]}"
        for path in folder.iterdir()
        if path.stem in STRANGERS and path.suffix in ("", ".py")
    }
    assert not strangers


@folders
def test_the_package_says_what_the_service_owns_and_nothing_else(folder):
    body = tree.parsed(folder / "__init__.py").body
    assert len(body) == 1, f"services/{folder.name}/__init__.py is a docstring, no more"
    assert isinstance(body[0], ast.Expr)
    assert isinstance(body[0].value, ast.Constant)


@folders
def test_the_process_is_three_lines(folder):
    body = tree.parsed(folder / "__main__.py").body
    statements = [node for node in body if not isinstance(node, ast.Expr | ast.If)]
    assert len(statements) <= 3, f"services/{folder.name}/__main__.py only imports and serves"


def test_a_service_has_contracts_of_its_own_name():
    for folder in tree.service_folders():
        assert (tree.ROOT / "protos" / "podium" / folder.name / "v1").is_dir(), folder.name


@pytest.mark.parametrize("package", ["services", "gateway", "libs", "deploy"])
def test_names_say_something(package):
    empty = [
        f"{tree.relative(path)}:{node.lineno} {node.name}"
        for path in tree.python_files(package)
        for node in ast.walk(tree.parsed(path))
        if isinstance(node, ast.ClassDef) and node.name.endswith(EMPTY_ENDINGS)
    ]
    assert not empty, f"name these by what they are: {empty}"
