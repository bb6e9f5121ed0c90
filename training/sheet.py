"""Tables as spreadsheets save them."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator

Row = tuple[int, list[str]]
"""Number of a line, from 1, and its fields."""
_MARKS = (",", ";", "\t")


def rows_of(data: bytes) -> Iterator[Row]:
    """The header and the rows of a table, empty ones passed over.

    Fields are parted by commas, semicolons or tabs, whichever the header has most of; UTF-8, with or without a byte
    order mark, or UTF-16 with one, as Excel's "Unicode text". Raises UnicodeDecodeError, csv.Error.
    """
    text = data.decode("utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
    header = next((line for line in text.splitlines() if line.strip()), "")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(_MARKS, key=header.count))
    return ((rows.line_num, fields) for fields in rows if any(field.strip() for field in fields))
