"""`geoanchor info`, `doctor`, `compact` and `export`: an index as a thing of its own."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from app.commands.options import Folder, Out, Summary
from app.commands.output import emit, emit_json
from geoanchor.count import counted
from geoanchor.errors import GeoAnchorError


def info(folder: Folder, format: Summary = "table") -> None:
    """Say what an index holds: rows of each layer, sources, spaces, model."""
    from geoanchor.manifest import read_manifest

    manifest = read_manifest(folder)
    if format == "json":
        emit_json(manifest.model_dump(mode="json"))
        return
    layers = ", ".join(f"{count} {layer}" for layer, count in manifest.layers.items()) or "none"
    updated = f"{manifest.updated:%Y-%m-%d %H:%M}"
    emit(f"{folder}: {manifest.rows} rows ({layers}), {manifest.texts} texts, updated {updated}")
    emit(f"model {manifest.model}")
    for name, space in manifest.spaces.items():
        emit(f"space {name}: {space.dim} numbers, {', '.join(space.modalities)}, fingerprint {space.fingerprint}")
    for source in manifest.sources:
        zoom = "" if source.zoom is None else f", zoom {source.zoom}"
        skipped = "".join(f", {count} {reason}" for reason, count in sorted(source.skipped.items()))
        bad = f", {source.quarantined} not usable" if source.quarantined else ""
        emit(f"source {source.uri}: {source.layer}{zoom}, {source.rows} rows{skipped}{bad}")
        if source.attribution:
            emit(f"  {source.attribution}")


def doctor(
    folder: Folder,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what can be derived from the tables.")] = False,
    format: Summary = "table",
) -> None:
    """Check that the parts of an index fit together, and say what to do where they do not; exit code 1 on errors."""
    from app import upkeep

    findings = upkeep.doctor(folder, repair=repair)
    if format == "json":
        emit_json({"findings": [{"level": finding.level, "text": finding.text} for finding in findings]})
    else:
        for finding in findings:
            emit(f"{finding.level}: {finding.text}")
        if not findings:
            emit(f"{folder}: all is well")
    if errors := sum(finding.level == "error" for finding in findings):
        raise GeoAnchorError(f"{folder}: {counted(errors, 'error', 'errors')}; --repair puts right what can be")


def compact(folder: Folder, format: Summary = "table") -> None:
    """Rewrite an index in its best order and drop what only older versions need.

    The version before stays until the next change, for those who read it, so that a small index may grow.
    """
    from app import upkeep

    before, after = upkeep.compact(folder)
    if format == "json":
        emit_json({"bytes_before": before, "bytes_after": after})
    else:
        kept = "; the version before stays until the next change, for those who read it" if after > before else ""
        emit(f"{folder}: {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB now{kept}")


def export(
    folder: Folder,
    format: Annotated[
        Literal["geoparquet", "geojson"], typer.Option(help="GeoParquet carries the vectors, too.")
    ] = "geoparquet",
    out: Out = None,
) -> None:
    """Give out all rows of an index: facts and outlines, and in GeoParquet the vectors."""
    from app.export import to_geojson, to_geoparquet

    emit(to_geoparquet(folder) if format == "geoparquet" else to_geojson(folder), out)
