"""The command line, run in the tests' own process."""

import pytest

from app import cli


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit code, and what was written to stdout and stderr."""
    code = cli.run([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err
