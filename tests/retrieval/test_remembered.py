"""What is remembered of texts: each is encoded once, and only so many are kept."""

from collections.abc import Sequence

import numpy as np

from retrieval.remembered import TextMemory


def test_each_text_is_encoded_once_and_the_longest_unasked_is_forgotten() -> None:
    asked: list[list[str]] = []

    def encode(texts: Sequence[str]) -> dict[str, np.ndarray]:
        asked.append(list(texts))
        return {"a": np.array([[len(text)] * 2 for text in texts], np.float32)}

    memory = TextMemory(encode, texts=2)
    assert memory.vectors(["one", "three", "one"], "a").tolist() == [[3, 3], [5, 5], [3, 3]]
    assert memory.vectors(["three", "one"], "a").tolist() == [[5, 5], [3, 3]]
    assert asked == [["one", "three"]]
    memory.vectors(["fifteen"], "a")
    memory.vectors(["one"], "a")
    assert asked[1:] == [["fifteen"]]
    memory.vectors(["three"], "a")
    assert asked[2:] == [["three"]]
