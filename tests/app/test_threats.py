"""The list of threats names tests that there are."""

import re
from pathlib import Path

HERE = Path(__file__).parent
LIST = HERE.parent.parent / "docs" / "threats.md"


def test_every_threat_has_a_test() -> None:
    lines = [line for line in LIST.read_text("utf-8").splitlines() if line.startswith("| ")][2:]
    assert len(lines) >= 20
    for line in lines:
        file = ""
        named = re.findall(r"`(test_\w+\.py)?(?:::)?(test_\w+)?`", line.rsplit("|", 2)[1])
        assert [name for pair in named for name in pair if name], line
        for path, name in named:
            file = path or file
            text = (HERE / file).read_text("utf-8")
            assert f"def {name}(" in text if name else "def test_" in text, (file, name)
