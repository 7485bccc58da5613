"""Each promise of what happens where something fails names tests that there are."""

import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def test_the_table_of_promises_names_tests_that_there_are() -> None:
    """Each in the file that it is said to be in, and each row has some."""
    text = (_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"### Each promise, and what proves it\n.*?\n\n(\|.*?)\n\n", text, re.DOTALL)
    rows = table.splitlines()[2:]
    assert len(rows) == 12
    for row in rows:
        files = re.findall(r"`([\w/]+\.py)`(?:: ((?:`[a-z_0-9]+`(?:, )?)+))?", row)
        assert files, row
        for name, tests in files:
            code = (_ROOT / "tests" / name).read_text(encoding="utf-8")
            missing = [test for test in re.findall(r"`(\w+)`", tests) if f"def test_{test}(" not in code]
            assert not missing, f"{name} has no {missing}"
