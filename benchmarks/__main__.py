"""`python -m benchmarks [name ...]`: runs the benchmarks, prints a line for each figure and keeps the JSON."""

from __future__ import annotations

import json
import platform
import sys
from importlib import import_module
from pathlib import Path

NAMES = (
    "build", "search", "startup", "relations", "changes", "matching", "updates", "paraphrases", "transfer", "segments",
    "segments_recall", "serving", "relevance", "page",
)  # fmt: skip
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    chosen = sys.argv[1:] or NAMES
    RESULTS.mkdir(exist_ok=True)
    for name in chosen:
        figures = import_module(f"benchmarks.{name}").run()
        machine = {"machine": platform.machine(), "python": platform.python_version()}
        (RESULTS / f"{name}.json").write_text(json.dumps(machine | figures, indent=1) + "\n")
        for figure, value in figures.items():
            print(f"{name:10} {figure:58} {value}", flush=True)


if __name__ == "__main__":
    main()
