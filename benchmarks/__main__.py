"""`python -m benchmarks [--index FOLDER] [name ...]`: runs the benchmarks, prints a line a figure and keeps the JSON.

FOLDER is where `serving` and `page` keep their index of 100,000 tiles, which is made there if it is not yet.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib import import_module
from pathlib import Path

from benchmarks.large import PLACE

NAMES = (
    "build", "search", "startup", "relations", "changes", "matching", "seeds", "counterparts", "adapt", "updates",
    "paraphrases", "transfer", "segments", "segments_recall", "segments_match", "serving", "relevance", "page",
)  # fmt: skip
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    asked = argparse.ArgumentParser("benchmarks")
    asked.add_argument("--index", metavar="FOLDER")
    asked.add_argument("names", nargs="*", metavar="name", help=", ".join(NAMES))
    given = asked.parse_args()
    if given.index:
        os.environ[PLACE] = given.index
    chosen = given.names or NAMES
    RESULTS.mkdir(exist_ok=True)
    for name in chosen:
        figures = import_module(f"benchmarks.{name}").run()
        machine = {"machine": platform.machine(), "python": platform.python_version()}
        (RESULTS / f"{name}.json").write_text(json.dumps(machine | figures, indent=1) + "\n")
        for figure, value in figures.items():
            print(f"{name:10} {figure:58} {value}", flush=True)


if __name__ == "__main__":
    main()
