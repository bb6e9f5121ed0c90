import pytest

from geoanchor.errors import UsageError
from models.towers import ImageTower


def test_a_network_that_nobody_knows_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="no network is called 'nix'; name "):
        ImageTower("nix", 32, 8, 8, 0)
