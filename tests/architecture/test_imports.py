"""Who may use what, where import contracts and lint rules cannot say it."""

from tests.architecture import tree

# Calls to other services need their messages; everything else speaks the domain's language.
WIRE_ROOMS = {"service", "wire", "events"}


def test_only_stores_speak_sql():
    strangers = [
        tree.relative(path)
        for path in tree.python_files("services", "gateway")
        if "store" not in _rooms(path) and _imports(path, "sqlalchemy")
    ]
    assert not strangers, f"move the SQL of these into store.py: {strangers}"


def test_generated_messages_stay_at_the_doors():
    strangers = [
        tree.relative(path)
        for path in tree.python_files("services")
        if not WIRE_ROOMS & _rooms(path) and _imports(path, "podium")
    ]
    assert not strangers, f"move what touches messages into wire.py: {strangers}"


def _rooms(path):
    """The module's name and those of its folders: store/sessions.py is in the store."""
    return {*path.relative_to(tree.ROOT).with_suffix("").parts}


def _imports(path, package):
    return any(
        name == package or name.startswith(f"{package}.") for name in tree.imported_modules(path)
    )
