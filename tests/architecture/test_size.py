"""Small pieces: a file is read in one sitting, a function is seen at one glance."""

from tests.architecture import tree

LONGEST_FILE = 400
LONGEST_FUNCTION = 40
LONGEST_LINE = 100
LINE_CHECKED = {".py", ".proto", ".yaml", ".yml", ".toml"}


def test_no_file_is_longer_than_400_lines():
    long = {
        tree.relative(path): lines
        for path in tree.python_files()
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE
    }
    assert not long, f"split these by what they are about: {long}"


def test_no_function_is_longer_than_40_lines():
    long = {
        f"{tree.relative(path)}:{function.lineno} {function.name}": lines
        for path in tree.python_files()
        for function in tree.functions(path)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > LONGEST_FUNCTION
    }
    assert not long, f"name the parts of these: {long}"


def test_no_line_is_longer_than_100_characters():
    long = [
        f"{tree.relative(path)}:{number}"
        for path in tree.committed_files()
        if path.suffix in LINE_CHECKED and not (_is_foreign(path) or _is_quoted(path))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if len(line) > LONGEST_LINE
    ]
    assert not long, f"break these: {long}"


def _is_foreign(path):
    return any(folder in path.parents for folder in (tree.GENERATED, tree.ROOT / "protos/google"))


def _is_quoted(path):
    """What tests quote word for word, such as mails as they arrived, is not ours to break."""
    return path.suffix == ".yaml" and tree.ROOT / "tests" in path.parents
