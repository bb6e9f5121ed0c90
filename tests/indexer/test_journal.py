"""The log of an unfinished build."""

from __future__ import annotations

from pathlib import Path

from indexer.journal import FILE_NAME, Commit, Intent, Journal
from indexer.report import Quarantined, Tally


def test_a_name_with_any_line_end_of_unicode_cuts_no_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.start(Intent(model="toy", spaces={}, sources=(), batch_size=8))
    odd = Quarantined(id="a", where="x\u2028y\u0085z.jpg", reason="is none")
    for version in (1, 2):
        journal.note(Commit(version=version, batches=version, tallies=[Tally(quarantined=[odd])]))
    whole = (tmp_path / FILE_NAME).read_bytes()
    assert [commit.version for commit in journal.commits(2)] == [1, 2]
    assert (tmp_path / FILE_NAME).read_bytes() == whole
    # What a kill cut off was not committed, also where only the end of its line is missing.
    for cut in (1, 30):
        (tmp_path / FILE_NAME).write_bytes(whole[:-cut])
        assert [commit.version for commit in journal.commits(2)] == [1]
