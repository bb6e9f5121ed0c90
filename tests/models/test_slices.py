"""A batch in slices gives what the whole batch gives, and leaves torch's threads as they were."""

import threading

import pytest
import torch

from models.slices import in_slices


@pytest.mark.parametrize("pictures", [1, 3, 7, 8, 9, 63, 64])
@pytest.mark.parametrize("cores", [1, 2, 4, 6, 7, 11])
def test_rows_are_those_of_the_whole_batch(pictures: int, cores: int) -> None:
    before, seen = torch.get_num_threads(), set()
    batch = torch.arange(pictures * 3, dtype=torch.float32).reshape(pictures, 3)

    def network(part: torch.Tensor) -> torch.Tensor:
        seen.add((threading.get_ident(), torch.get_num_threads(), torch.is_inference_mode_enabled()))
        return part * 2

    torch.set_num_threads(cores)
    try:
        assert torch.equal(in_slices(network, batch), batch * 2)
        assert torch.get_num_threads() == cores
        later: list[int] = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert later == [cores]
    finally:
        torch.set_num_threads(before)
    assert all(inferring for *_, inferring in seen)
    assert max(threads for _, threads, _ in seen) <= cores
    if cores == 4 and pictures == 64:
        assert {threads for _, threads, _ in seen} == {1}


def test_a_failing_network_fails_the_call() -> None:
    def network(part: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        in_slices(network, torch.zeros(64, 3))
