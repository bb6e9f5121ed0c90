"""What a query means: its parts as terms that rank the rows of an index, by way of the encoder where that is needed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TypeGuard

import numpy as np

from geoanchor.errors import SpaceMismatch, UnsupportedModality, UsageError
from geoanchor.gaps import without_rim
from geoanchor.image import Layer, Pixels
from geoanchor.protocols import Encoder, RowVectors, Vectors
from geoanchor.query import ImagePart, LikePart, Part, PointPart, Query, TextPart, picture_called
from retrieval.counterpart import COARSE, OTHER, CounterpartTerm
from retrieval.framing import SCALES, bounded, framed, hidden
from retrieval.matching import Pictures, RowMatcher
from retrieval.naming import Naming, Scores
from retrieval.relations import Relation, parse_relation
from retrieval.remembered import TextMemory
from retrieval.serving import Serving
from retrieval.terms import FusedTerm, PointTerm, RelationTerm, Term, VectorTerm

VectorPart = TextPart | ImagePart | LikePart
_BESIDE_STRUCTURE = 0.3
"""Weight of all other wishes beside a map whose ground is looked for: a standard deviation of theirs says less."""
ReadPicture = Callable[[bytes, str, Layer], Pixels]


class Interpreter:
    """Turns queries into terms over an opened index.

    Args:
        serving: the index's snapshot.
        open_encoder: gives the encoder that the index was built with; called once, when first needed.
        open_naming: gives what tells the rows that bear what a text names.
        read: pixels of the bytes of a layer's picture; raises BadInput, naming what it is told.
        pictures: stored pictures of the index by id.
    """

    def __init__(
        self,
        serving: Serving,
        open_encoder: Callable[[], Encoder],
        open_naming: Callable[[], Naming],
        read: ReadPicture,
        pictures: Pictures,
    ) -> None:
        self._serving = serving
        self._read = read
        self._pictures = pictures
        self._open_naming = open_naming
        self._open_encoder = open_encoder
        self._texts = TextMemory(lambda texts: self.encoder.encode(texts, "text", "query"))
        self._seen: tuple[ImagePart, Mapping[str, RowVectors]] | None = None

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder that the index was built with, opened on first use."""
        return self._open_encoder()

    def require(self, space: str) -> None:
        """Raise SpaceMismatch unless the encoder makes vectors of this very space."""
        mine, theirs = self._serving.manifest.spaces[space], self.encoder.spaces.get(space)
        if theirs is None:
            raise SpaceMismatch(
                f"{self._serving.folder} holds vectors of space {space!r}, which model {self.encoder.name!r} does not "
                "make: open it with the model it was built with"
            )
        mine.require(theirs, where=str(self._serving.folder))

    def terms(self, query: Query) -> list[Term]:
        """What ranks the rows; see `Searcher.search` for what is raised."""
        points = [part for part in query.parts if isinstance(part, PointPart)]
        others: list[VectorPart] = [part for part in query.parts if not isinstance(part, PointPart)]
        terms: list[Term] = []
        for part in list(others):
            if relation := _relation_of(part, query):
                terms.append(self._relation_term(relation, part, query))
                others.remove(part)
        counterpart, own, weight = self._counterpart_term(query), None, 1.0
        if counterpart is not None:
            # A map looks next to nothing like a picture of its ground: its looks count among maps alone, if at all.
            if query.layer == OTHER[counterpart.layer] or not len(self._serving.layers[counterpart.layer]):
                others.remove(counterpart.part)
                weight = _BESIDE_STRUCTURE
            else:
                own = counterpart.layer
        by_space = self._by_space(others, query)
        vectors = [VectorTerm(self._serving, space, parts) for space, parts in by_space.items()]
        if len(vectors) == 1 and counterpart is None:
            terms.append(replace(vectors[0], borne=self._balance(vectors[0], query)))
        elif vectors:
            terms.append(FusedTerm(self._serving, vectors, own, weight))
        if counterpart is not None:
            terms.append(counterpart)
        if points:
            terms.append(PointTerm(self._serving, points, holding_first=not terms))
        return terms

    def pixels(self, part: ImagePart) -> Pixels:
        """A picture of the query (h, w, 3) uint8; of a map without its blank rim. Raises BadInput."""
        pixels = self._read(part.data, picture_called(part.layer), part.layer)
        return without_rim(pixels) if part.layer == "map" else pixels

    def row(self, part: LikePart) -> int:
        """The row that more like it is asked for. Raises UsageError where the index has none of that id."""
        row = self._serving.row_of(part.id)
        if row is None:
            raise UsageError(f"{self._serving.folder}: no row has the id {part.id!r}")
        return row

    def _said(self, texts: Sequence[str], space: str) -> Vectors:
        """Query vectors (n, d) of texts in a space of the index. Raises SpaceMismatch when the encoder's is another."""
        self.require(space)
        return self._texts.vectors(texts, space)

    def _counterpart_term(self, query: Query) -> CounterpartTerm | None:
        """For the one map or aerial picture that is wanted, where the index can tell what the other layer shows of it.

        A picture among other wishes, and one of the index, is asked about its looks, unless the other layer alone is
        wanted.
        """
        spaces, pictures = self._serving.manifest.spaces, [part for part in query.parts if _is_picture(part)]
        if len(pictures) != 1 or query.spaces:
            return None
        part = pictures[0]
        layer = part.layer if isinstance(part, ImagePart) else self._layer_of(part)
        alone = len(query.parts) == 1 and isinstance(part, ImagePart)
        if not alone and query.layer != OTHER.get(layer):
            return None
        if layer not in OTHER or COARSE not in spaces or not len(self._serving.layers[OTHER[layer]]):
            return None
        if (matcher := self.encoder.matcher) is None or not set(matcher.spaces) <= set(spaces):
            return None
        rows = self.row_matcher
        if isinstance(part, ImagePart):
            pixels = bounded(self.pixels(part), layer)
            shown = [framed(pixels, scale) for scale in SCALES]
            unseen = np.stack([hidden(*each, layer, matcher.cells) for each in zip(shown, SCALES, strict=True)])
            others = self.encoder.encode(shown[1:], layer, "query")
            vectors = {
                name: np.concatenate([first, others[name]]) for name, first in self._picture_vectors(part).items()
            }
            return CounterpartTerm(self._serving, rows, layer, vectors, part, SCALES, unseen, pixels)
        own = np.array([self.row(part)])
        if not len(rows.comparable(own)):
            return None
        gaps, kept = rows.gaps(own) if layer == "aerial" else None, rows.pictures(own).get(int(own[0]))
        return CounterpartTerm(self._serving, rows, layer, rows.vectors(own), part, hidden=gaps, pixels=kept)

    @cached_property
    def row_matcher(self) -> RowMatcher:
        """One for all that compare rows: it remembers where pictures hold no data."""
        return RowMatcher(self._serving, self.encoder, self._pictures)

    def _layer_of(self, part: LikePart) -> Layer:
        layer: Layer = self._serving.rows.column("layer")[self.row(part)].as_py()
        return layer

    def _picture_vectors(self, part: ImagePart) -> Mapping[str, RowVectors]:
        """Vectors (1, d) of a picture by space; the last picture's are kept, since several terms ask for them."""
        seen = self._seen
        if seen is None or seen[0] is not part:
            self._seen = seen = part, self.encoder.encode([self.pixels(part)], part.layer, "query")
        return seen[1]

    def _relation_term(self, relation: Relation, part: VectorPart, query: Query) -> RelationTerm:
        space = self._spaces_for([part], query)[0]
        subject, thing = self._said([relation.subject, relation.object], space)
        borne = self._borne(relation.subject, query), self._borne(relation.object, query)
        return RelationTerm(self._serving, space, relation, subject, thing, part.weight, borne)

    def _balance(self, term: VectorTerm, query: Query) -> Scores | None:
        """What tags add to each row's score (g,): the share of what the wanted words name that it bears, less that of
        unwanted words by their weights. None where that does not count."""
        if not term.words:
            return None
        unwanted = [
            (part.weight, part.text) for part, _ in term.parts if isinstance(part, TextPart) and part.weight < 0
        ]
        shares = [(weight, self._borne(text, query)) for weight, text in ((1.0, term.words), *unwanted)]
        told = [weight * share for weight, share in shares if share is not None]
        return np.sum(told, axis=0) if told else None

    def _borne(self, text: str, query: Query) -> Scores | None:
        """Share (g,) of what a text names whose tags each row bears. None where that does not count: who asks for a
        reranker asks for another order."""
        return self._open_naming().share(text) if text and query.tags and not query.rerank else None

    def _by_space(self, parts: Sequence[VectorPart], query: Query) -> dict[str, list[tuple[Part, Vectors]]]:
        """The parts' vectors by space."""
        found: dict[str, list[tuple[Part, Vectors]]] = defaultdict(list)
        for space in self._spaces_for(parts, query):
            for part in parts:
                if self._knows(space, part):
                    found[space].append((part, self._vector(part, space)))
        return found

    def _spaces_for(self, parts: Sequence[VectorPart], query: Query) -> Sequence[str]:
        """The spaces asked for; else the first that knows every part; else all that are needed to know each."""
        spaces = self._serving.manifest.spaces
        known = [name for name, space in spaces.items() if space.searchable]
        unknown = [name for name in query.spaces if name not in known]
        if unknown:
            raise UsageError(f"{self._serving.folder}: no space {unknown[0]!r} to search; it has {', '.join(known)}")
        names = query.spaces or tuple(known)
        for part in parts:
            if not any(self._knows(name, part) for name in names):
                raise UnsupportedModality(
                    f"{self._serving.folder}: no space knows {_modality(part)}; "
                    + "; ".join(f"{name} knows {', '.join(spaces[name].modalities)}" for name in names)
                )
        if query.spaces or not parts:
            return query.spaces if parts else ()
        whole = next((name for name in names if all(self._knows(name, part) for part in parts)), None)
        first = {next(name for name in names if self._knows(name, part)) for part in parts}
        return (whole,) if whole else sorted(first)

    def _knows(self, space: str, part: VectorPart) -> bool:
        modality = _modality(part)
        if isinstance(part, LikePart) and part.segment is not None:
            return self._part_space(part) == space
        if isinstance(part, LikePart):
            present = self._serving.present(space)
            return present is None or self.row(part) in present
        return modality in self._serving.manifest.spaces[space].modalities

    def _vector(self, part: VectorPart, space: str) -> Vectors:
        match part:
            case TextPart(text=text):
                return np.asarray(self._said([text], space)[0])
            case ImagePart():
                self.require(space)
                return np.asarray(self._picture_vectors(part)[space][0])
            case LikePart(segment=int(number)) if self._serving.segments is not None:
                return self._serving.segments.vector(self.row(part), number)
            case LikePart():
                return self._serving.vector(space, self.row(part))

    def _part_space(self, part: LikePart) -> str:
        """The space that holds the segment of a row. Raises UsageError where the index has no segments."""
        record = self._serving.manifest.segments
        if record is None:
            raise UsageError(
                f"{self._serving.folder}: has no segments, so segment {part.segment} of {part.id!r} cannot be asked for"
            )
        return record.space


def _relation_of(part: VectorPart, query: Query) -> Relation | None:
    wanted = query.relations and isinstance(part, TextPart) and part.weight > 0
    return parse_relation(part.text) if wanted and isinstance(part, TextPart) else None


def _is_picture(part: Part) -> TypeGuard[ImagePart | LikePart]:
    """Whether a whole picture is wanted."""
    return isinstance(part, ImagePart | LikePart) and part.weight > 0 and getattr(part, "segment", None) is None


def _modality(part: VectorPart) -> str:
    match part:
        case TextPart():
            return "text"
        case ImagePart(layer=layer):
            return layer
        case LikePart(id=row_id):
            return f"a vector of row {row_id!r}"
