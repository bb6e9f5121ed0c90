from pathlib import Path

import pytest

from geoanchor.errors import UsageError
from training.data import cache_folder
from training.recipe import load_recipe

RECIPES = sorted((Path(__file__).resolve().parents[2] / "training" / "recipes").glob("*.toml"))
MINI = next(path for path in RECIPES if path.stem == "mini")


def test_mini_never_sees_the_unseen() -> None:
    data = load_recipe(MINI).data
    assert "C" not in data.countries
    assert data.train_seeds[0] >= 100_000
    assert 90_000 <= data.val_seeds[0] <= data.val_seeds[1] < data.train_seeds[0]
    assert not set(data.osm_train) & set(data.osm_val)


def test_overrides_win_over_smoke_and_smoke_over_the_file() -> None:
    plain, smoke = load_recipe(MINI), load_recipe(MINI, smoke=True)
    assert smoke.schedule.steps < plain.schedule.steps
    assert smoke.data.osm_train == ()
    both = load_recipe(MINI, ["schedule.steps = 7", "towers.architecture=resnet10t"], smoke=True)
    assert (both.schedule.steps, both.towers.architecture) == (7, "resnet10t")


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("schedule.steps", "table.key=value"),
        ("=3", "table.key=value"),
        ("schedule.stepz=3", "schedule.stepz"),
        ("schedule.steps=0", "steps or epochs"),
        ("schedule.steps=many", "schedule.steps"),
        ("name.x=1", "name is no table"),
    ],
)
def test_a_bad_override_is_one_sentence(override: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        load_recipe(MINI, [override])


def test_a_missing_or_broken_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the recipe"):
        load_recipe(tmp_path / "no.toml")
    (tmp_path / "broken.toml").write_text("name = ")
    with pytest.raises(UsageError, match="cannot read the recipe"):
        load_recipe(tmp_path / "broken.toml")


def test_other_data_means_another_cache(tmp_path: Path) -> None:
    data = load_recipe(MINI).data
    assert cache_folder(tmp_path, data) == cache_folder(tmp_path, data.model_copy(update={"workers": 7}))
    assert cache_folder(tmp_path, data) != cache_folder(tmp_path, data.model_copy(update={"cache_px": 96}))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("data.train_seeds=[89990, 90000]", "cities in common"),
        ('data.osm_train=["monaco.osm.pbf"]', "monaco.osm.pbf is in osm_train and in osm_val"),
        ("data.zooms={}", "name at least one zoom between 0 and 30"),
        ("data.zooms={40=1.0}", "name at least one zoom between 0 and 30"),
        ("data.zooms={17=0.0}", "not all of them 0"),
    ],
)
def test_what_would_be_judged_by_heart_or_cannot_be_drawn_is_refused(setting: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_recipe(MINI, (setting,))
