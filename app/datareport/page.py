"""The data report: one page with figures, plots and examples. Opens anywhere, needs no network and no script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from statistics import mean, median
from typing import Any

from app.datareport import plots
from app.datareport.census import Census, Record
from app.datareport.plots import Plot
from app.datareport.statistics import Clusters, clusters, judged, repeated, tag_counts, together
from app.locator import data_uri
from app.report import small
from geoanchor import __version__
from training.captions.quality import Quality

_MATRIX = 16
_EXAMPLES = 6
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Figure:
    """One plot and what it says."""

    title: str
    plot: Plot
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under a title; `swatches` colours the first cells."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    swatches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A picture with words."""

    picture: str
    text: str
    note: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the page."""

    title: str
    lead: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class DataReport:
    """The whole report.

    Attributes:
        facts: what stands at the top, number and word.
    """

    name: str
    facts: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...] = field(default=())

    @property
    def plots(self) -> list[Plot]:
        """All plots, in the order of the page."""
        return [figure.plot for part in self.parts for figure in part.figures]

    def html(self) -> str:
        """The page. Everything that comes from data is escaped."""
        return str(_template().render(report=self, style=_style(), footer=f"GeoAnchor {__version__}"))


def data_report(census: Census) -> DataReport:
    """What there is to say of a data set."""
    records = census.records
    counts, found = tag_counts(records), clusters(records)
    captions = [caption for record in records for caption in record.captions]
    quality = judged(records, by_tags=census.told_by.startswith("vectors"))
    facts = [(f"{len(records):,}", "pictures"), (f"{len(counts):,}", "kinds of tags")]
    if counts:
        facts.append((f"{median(len(record.tags) for record in records if record.tags):.0f}", "tags a picture, median"))
    if captions:
        facts += [
            (f"{len(captions):,}", "captions"),
            (f"{mean(len(caption.split()) for caption in captions):.0f}", "words each"),
            (f"{mean(item.score for _, item in quality):.2f}", "quality, 0 to 1"),
        ]
    parts = [
        _tags(census, found) if counts else None,
        _captions(census, captions, quality) if captions else None,
        _ground(records),
    ]
    return DataReport(census.name, tuple(facts), tuple(part for part in parts if part))


def _tags(census: Census, found: Clusters | None) -> Part:
    records, counts = census.records, tag_counts(census.records)
    bare = sum(not record.tags for record in records)
    numbers = [len(record.tags) for record in records if record.tags]
    figures = [
        Figure("Commonest tags", plots.bars("tags", counts), f"{len(counts):,} kinds in all."),
        Figure(
            "Tags a picture", plots.histogram("tags-each", numbers, "tags", whole=True),
            f"{bare:,} pictures have none." if bare else "Every picture has some.",
        ),
    ]  # fmt: skip
    common = [tag for tag, _ in counts[:_MATRIX]]
    if len(common) > 2:
        values = together(records, common)
        figures.append(Figure("Found together", plots.matrix("together", common, values), _pair_note(common, values)))
    tables = []
    if found is not None:
        figures += [
            Figure("Groups of like pictures", plots.scatter("groups", found), "A point is a picture, by its tags."),
            Figure(
                "How many groups", plots.silhouettes("silhouettes", found),
                f"{len(found.tags)} set the pictures apart best.",
            ),
        ]  # fmt: skip
        sizes = Counter(found.labels.tolist())
        rows = tuple(
            (str(group + 1), f"{sizes[group]:,}", ", ".join(tags) or "nothing in particular")
            for group, tags in enumerate(found.tags)
        )
        head = ("group", "pictures", "set apart by")
        tables.append(Table("The groups", head, rows, plots.GROUPS[: len(rows)]))
    return Part("Tags", f"From {census.told_by}.", tuple(figures), tuple(tables))


def _pair_note(tags: Sequence[str], values: Any) -> str:
    pairs = [(float(values[row, column]), row, column) for row in range(len(tags)) for column in range(row)]
    best, row, column = max(pairs)
    if best <= 0:
        return "No two of the commonest tags share a picture."
    return f"Closest: {tags[column]} and {tags[row]}, together in {best:.0%} of the pictures with either."


def _captions(census: Census, captions: Sequence[str], quality: Sequence[tuple[Record, Quality]]) -> Part:
    twice = repeated(census.records)
    lengths = [len(caption.split()) for caption in captions]
    figures = [
        Figure("Length", plots.histogram("lengths", lengths, "words", whole=True), "Words of every caption."),
        Figure(
            "Quality", plots.histogram("quality", [item.score for _, item in quality], "score"),
            "Of each picture's first caption, by rules; 1 is best.",
        ),
    ]  # fmt: skip
    measures = (
        ("coverage", "of the tags are named"), ("support", "of what it names for certain is there"),
        ("variety", "of three-word sequences are new"), ("length", "as long as it should be"),
    )  # fmt: skip
    rows = []
    for name, meaning in measures:
        values = [value for _, item in quality if (value := getattr(item, name)) is not None]
        rows.append((name, f"{mean(values):.2f}" if values else "-", meaning))
    tables = [Table("What quality is made of", ("measure", "mean", "share ..."), tuple(rows))]
    if twice:
        shown = tuple((f"{count:,}", text) for text, count in twice[:_SHOWN])
        tables.append(Table("Captions of more than one picture", ("pictures", "caption"), shown))
    invented = Counter(name.replace("_", " ") for _, item in quality for name in item.invented).most_common(_SHOWN)
    if invented:
        tables.append(
            Table("Named, but not on the map", ("captions", "thing"), tuple((str(n), name) for name, n in invented))
        )
    lead = f"{len(captions) - len(set(captions)):,} of {len(captions):,} repeat an earlier one word for word."
    return Part("Captions", lead, tuple(figures), tuple(tables), _worst(census, quality))


def _worst(census: Census, quality: Sequence[tuple[Record, Quality]]) -> tuple[Example, ...]:
    """The pictures whose first captions are judged worst."""
    examples = []
    for record, item in sorted(quality, key=lambda pair: pair[1].score)[:_EXAMPLES]:
        data = census.picture(record.id)
        note = f"quality {item.score:.2f}"
        if item.coverage is not None:
            note += f", names {item.coverage:.0%} of: {', '.join(record.tags[:6])}"
        examples.append(Example(data_uri(small(data)) if data else "", record.captions[0], note))
    return tuple(examples)


def _ground(records: Sequence[Record]) -> Part | None:
    figures = []
    placed = sum(record.box is not None for record in records)
    if placed:
        nowhere = f"{len(records) - placed:,} pictures have no position." if placed < len(records) else ""
        figures.append(Figure("Where", plots.ground("ground", records), nowhere))
    layers = Counter(record.layer for record in records if record.layer).most_common()
    if layers:
        figures.append(Figure("Layers", plots.bars("layers", layers)))
    sizes = [record.gsd_m for record in records if record.gsd_m]
    if sizes:
        note = f"From {min(sizes):.3g} to {max(sizes):.3g} m a pixel, as the sources have it."
        figures.append(Figure("Ground sampling distance", plots.histogram("gsd", sizes, "m a pixel", log=True), note))
    times = [record.acquired for record in records if record.acquired]
    if times:
        note = f"{len(records) - len(times):,} pictures do not tell." if len(times) < len(records) else ""
        figures.append(Figure("When", plots.dates("dates", times), note))
    return Part("Ground", "Where the pictures lie, and how they were taken.", tuple(figures)) if figures else None


@cache
def _template() -> Any:
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("app").joinpath("templates/datareport.html").read_text("utf-8"))


def _style() -> str:
    return files("app").joinpath("templates/datareport.css").read_text("utf-8")
