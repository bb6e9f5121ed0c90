"""What a vision-language model is asked about a pair of pictures, and how its answer is read (U-CSA section 3.1)."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from training.anchors.schema import VOCABULARY, Attributes, Summary

PROMPT_VERSION = "1"

RULES = (
    "You describe the built structure of one place, shown twice: AERIAL is a picture from above, MAP a map of the same "
    "frame. Judge each of the two by itself: what AERIAL shows goes to `aerial`, what MAP shows to `map`, even where "
    "they contradict each other. Use only the values of the schema; what cannot be seen is `unknown` where that is a "
    "value, else `none`. `agreement` is the number of attributes with equal values. `summary` says in at most 40 plain "
    "lower-case words what AERIAL shows of buildings, blocks, roads and open space: no colours, no textures, no "
    "shadows, no names, nothing written on the map. Answer with one JSON object and nothing else."
)

_BANNED = re.compile(
    r"\b(?:red|green|white|black|blue|gr[ae]y|brown|yellow|orange|beige|textures?|textured|shadows?|named|labels?|"
    r"labell?ed)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<=[\w,;:)] )[A-Z]\w+")
"""A capital inside a sentence begins a name."""

_ALIASES: dict[str, tuple[str, ...]] = {
    "absent": ("none",), "no": ("none",), "n/a": ("none", "unknown"), "na": ("none", "unknown"),
    "sparse": ("very_low", "low", "scattered"), "moderate": ("medium",), "dense": ("high",),
    "very_dense": ("very_high",),
    "grid": ("grid_blocks",), "gridded": ("grid_blocks", "grid"), "perimeter": ("perimeter_blocks",),
    "row": ("row_blocks", "attached_rows"), "rows": ("row_blocks", "attached_rows"),
    "row_houses": ("row_blocks", "attached_rows"), "terraced": ("row_blocks", "attached_rows"),
    "irregular": ("irregular_blocks", "complex", "mixed"), "open": ("open_land",),
    "rectangle": ("rectangular",), "simple": ("simple_rectangular",), "flat": ("large_flat_span",),
    "l_shaped": ("l_or_u_shaped",), "u_shaped": ("l_or_u_shaped",), "l_or_u": ("l_or_u_shaped",),
    "existing": ("established",), "complete": ("established",), "completed": ("established",),
    "construction": ("under_construction",), "cleared": ("cleared_land",), "regular": ("regular_spacing",),
    "attached": ("attached_rows",), "partly_aligned": ("mostly_aligned",), "single": ("single_road",),
    "loops": ("loops_and_dead_ends",), "dead_ends": ("loops_and_dead_ends",), "cul_de_sacs": ("loops_and_dead_ends",),
    "none": ("little",), "low": ("little",), "small": ("little",), "some": ("fragmented",), "large": ("dominant",),
}  # fmt: skip
"""Common other words -> what they stand for; the first that the attribute knows is taken."""


class Reading(BaseModel):
    """A valid answer: both sides' attributes and a summary of the aerial side."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    aerial: Attributes
    map: Attributes
    agreement: int
    summary: Summary


def question() -> str:
    """The schema that the answer must follow."""
    return "Answer with JSON of this schema: " + json.dumps(Reading.model_json_schema(), separators=(",", ":"))


def read_reply(text: str) -> Reading:
    """The first JSON object in an answer, with spelling forgiven. Raises ValueError that says all that is wrong."""
    try:
        value = json.loads(first_object(text))
    except json.JSONDecodeError as error:
        raise ValueError(f"no valid JSON: {error}") from error
    for side in ("aerial", "map"):
        if isinstance(value.get(side), dict):
            value[side] = {_word(name): _value(_word(name), word) for name, word in value[side].items()}
    try:
        return Reading.model_validate(value)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, item['loc'])) or 'answer'}: {item['msg']}" for item in error.errors()]
        raise ValueError("; ".join(wrong)) from error


def first_object(text: str) -> str:
    """The first balanced {...} of a text; braces within strings do not count. Raises ValueError where there is none."""
    start = text.find("{")
    depth, quoted, escaped = 0, False, False
    for at in range(max(start, 0), len(text)):
        letter = text[at]
        if quoted:
            quoted = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
            continue
        quoted = letter == '"'
        depth += (letter == "{") - (letter == "}")
        if start >= 0 and depth == 0:
            return text[start : at + 1]
    raise ValueError("no JSON object in the answer")


def unfit_words(summary: str) -> list[str]:
    """Words of a summary that tell of colour, texture, light, writing or names."""
    return _BANNED.findall(summary) + _NAME.findall(summary)


def _word(text: str) -> str:
    return re.sub(r"[\s\-]+", "_", text.strip().lower())


def _value(name: str, value: Any) -> Any:
    if not isinstance(value, str) or name not in VOCABULARY:
        return value
    word, known = _word(value), VOCABULARY[name]
    if word in known:
        return word
    return next((other for other in _ALIASES.get(word, ()) if other in known), word)
