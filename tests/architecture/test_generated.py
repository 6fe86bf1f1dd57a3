"""What is generated is what the contracts say today."""

from deploy import gen
from tests.architecture import tree


def test_generated_code_is_fresh(tmp_path):
    gen.generate(tmp_path)
    assert gen.differences(tree.GENERATED, tmp_path) == [], "run `make gen`"
