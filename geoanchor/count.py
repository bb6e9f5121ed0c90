"""Numbers as they are told: with their nouns, and rounded."""


def counted(count: int, one: str, many: str) -> str:
    """A number and the words that suit it: "1 place disagrees", "5 places disagree"."""
    return f"{count} {one if count == 1 else many}"


def rounded(number: float, digits: int) -> float:
    """A number to be told; what rounds to nothing is 0.0, whichever its sign."""
    return round(number, digits) + 0.0  # -0.0 and 0.0 are 0.0.
