"""Numbers with their nouns."""


def counted(count: int, one: str, many: str) -> str:
    """A number and the words that suit it: "1 place disagrees", "5 places disagree"."""
    return f"{count} {one if count == 1 else many}"
