"""An adaptation from beginning to end: what each switch does, what stops it, and that it goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from geoanchor.errors import TrainingFailed, UsageError
from tests.domains import domain_recipe
from training.domain.adapt import Adapter
from training.domain.batches import Side, Views
from training.domain.best import collapsed, spread
from training.domain.features import measure_statistics
from training.domain.matrix import ROWS
from training.domain.network import SmallTowers, TwoTowers
from training.domain.pictures import PRETRAINING, Rows, adaptation_split
from training.domain.pretrain import Pretrainer
from training.domain.recipe import DomainRecipe
from training.domain.source import Grounds, train_source
from training.runlog import silent


class Setting:
    """Two domains, and a network trained for a moment on the first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipe = domain_recipe(folder)
        grounds = Grounds(self.recipe, folder / "pictures", silent)
        self.network = train_source(grounds, "day", 0, folder / "source")
        self.source, self.target = (grounds.views(name, self.network) for name in ("day", "dusk"))
        self.parts = adaptation_split(self.source.pictures, self.target.pictures)

    def adapter(self, run: str, network: TwoTowers | None = None, **changes: Any) -> Adapter:
        shape = self.recipe.adaptation.model_copy(update=changes)
        train = Side(self.source, self.source.pictures.split(PRETRAINING)["train"])
        return Adapter(
            network or self.network, train, self.target, self.parts, shape, self.folder / run, self.recipe
        )  # fmt: skip


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return Setting(tmp_path_factory.mktemp("domains"))


def _log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "adapted.jsonl").read_text().splitlines()]


def _interrupted(line: str) -> None:
    if json.loads(line)["epoch"] == 2:
        raise KeyboardInterrupt


def test_the_split_is_whole_and_disjoint_and_refuses_pictures_of_the_source(setting: Setting) -> None:
    rows: Mapping[str, Rows] = setting.parts
    assert sorted(np.concatenate(list(rows.values()))) == list(range(60))
    with pytest.raises(UsageError, match=r"60 pictures are in source and target, day-0\.png first"):
        adaptation_split(setting.source.pictures, setting.source.pictures)


@pytest.mark.parametrize(("row", "terms"), [
    ("full", {"triplet", "adversary"}), ("w/o AT", {"triplet"}), ("w/o SS", {"triplet", "adversary"}),
    ("upper bound", {"pairs"}),
])  # fmt: skip
def test_the_rows_of_the_ablation_learn_from_what_they_say(setting: Setting, row: str, terms: set[str]) -> None:
    facts, trouble = setting.adapter("rows", **dict(ROWS[row] or {})).advance()
    assert not trouble
    assert terms == set(facts) & {"triplet", "adversary", "pairs", "coral"}
    assert ("d_accuracy" in facts) is ("adversary" in terms)


def test_coral_is_one_more_term(setting: Setting) -> None:
    facts, _ = setting.adapter("coral", coral=5.0).advance()
    assert facts["coral"] > 0


def test_a_run_that_was_stopped_ends_where_an_uninterrupted_one_does(setting: Setting) -> None:
    whole = setting.adapter("whole")
    whole.fit(silent)
    # The same two epochs, but stopped after the first: its checkpoint is all that is left of it.
    stopped = setting.adapter("halves")
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(_interrupted)
    resumed = setting.adapter("halves")
    resumed.fit(silent, resume=True)
    assert resumed.step == whole.step
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    assert float(whole.best.score) == float(resumed.best.score)


def test_numbers_that_are_none_stop_it_and_the_best_weights_are_kept(setting: Setting) -> None:
    adapter = setting.adapter("nan")
    before = {name: tensor.clone() for name, tensor in adapter.best.network.state_dict().items()}
    with torch.no_grad():
        next(adapter.model.parameters()).fill_(torch.nan)
    best = adapter.fit(silent)
    assert "loss is nan" in _log(setting.folder / "nan")[-1]["stopped"]
    assert adapter.summary() == {"best_epoch": 0, "stopped_at": 0, "steps": 0}
    assert all(torch.equal(tensor, before[name]) for name, tensor in best.state_dict().items())


def test_vectors_that_become_one_stop_it(setting: Setting) -> None:
    adapter = setting.adapter("one", learning_rate=1e-12)
    assert isinstance(adapter.model, SmallTowers)
    with torch.no_grad():
        adapter.model.aerial.head.outer.weight.zero_()
    adapter.fit(silent)
    assert "have become one" in _log(setting.folder / "one")[-1]["stopped"]
    assert spread(torch.eye(4)) == 1
    assert collapsed(torch.ones(5, 4) / 2, 0.3)
    assert collapsed(torch.full((5, 4), torch.nan), 0.3)
    assert not collapsed(torch.eye(4), 1.0)


def test_it_stops_when_validation_no_longer_gets_better(setting: Setting) -> None:
    adapter = setting.adapter("patience", epochs=9, patience=1)
    adapter.best.score.fill_(100.0)
    adapter.fit(silent)
    assert adapter.step == adapter._per_epoch
    assert "no better validation" in _log(setting.folder / "patience")[-1]["stopped"]


@pytest.mark.parametrize(("text", "features"), [("none", 16), ("unpaired", 32), ("paired", 32)])
def test_what_is_known_of_target_words_is_what_the_discriminator_sees(
    setting: Setting, text: str, features: int
) -> None:
    adapter = setting.adapter("text", target_text=text)
    assert adapter._discriminator.layers[0].in_features == features
    rows, rng = setting.parts["adapt"][:4], np.random.default_rng(0)
    batch = setting.target(rows, rng)
    words = adapter._target_words(batch, rows, rng)
    if text == "none":
        assert words is None
    else:
        assert words is not None
        assert torch.equal(words, adapter.model.words(batch.words)) is (text == "paired")


def test_a_source_run_without_numbers_says_so(setting: Setting, tmp_path: Path) -> None:
    broken = SmallTowers(setting.recipe.network)
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    side = Side(setting.source, np.arange(40))
    trainer = Pretrainer(
        broken, side, setting.adapter("x")._judge, setting.recipe.pretraining, setting.recipe.segments, tmp_path
    )  # fmt: skip
    with pytest.raises(TrainingFailed, match=r"loss is nan at step 0; lower pretraining\.learning_rate"):
        trainer.fit(silent)


def test_statistics_are_those_of_the_pictures_they_are_measured_on(setting: Setting) -> None:
    network = SmallTowers(setting.recipe.network)
    norm = next(m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm))
    seen: list[torch.Tensor] = []
    handle = norm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    rows = setting.parts["adapt"]
    measure_statistics(network, Side(setting.target, rows))
    handle.remove()
    assert norm.running_mean is not None
    assert torch.allclose(norm.running_mean, seen[0].mean(dim=(0, 2, 3)), atol=1e-5)
    assert not norm.training


def test_kept_statistics_do_not_move_and_shared_ones_do(setting: Setting) -> None:
    for statistics, moves in (("kept", False), ("shared", True)):
        adapter = setting.adapter("statistics", statistics=statistics)
        norm = next(m for m in adapter.model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm))
        assert norm.running_mean is not None
        before = norm.running_mean.clone()
        adapter.advance()
        assert torch.equal(before, norm.running_mean) is not moves


def test_one_caption_a_picture_and_all_equal_ones_are_positive(setting: Setting) -> None:
    views: Views = setting.source
    rows = np.arange(30)
    batch = views(rows, np.random.default_rng(5))
    assert len(batch.words) == 30
    texts = [{views.pictures.texts[t] for t in own if t >= 0} for own in views.pictures.captions[rows]]
    drawn = [int((views.words == word).all(dim=1).nonzero()[0, 0]) for word in batch.words]
    expected = [[float(views.pictures.texts[text] in own) for text in drawn] for own in texts]
    assert batch.positive.tolist() == expected
    assert batch.positive.sum() > 30, "some captions are true of several pictures"


def test_recipes_are_told_apart_and_refused_in_words(tmp_path: Path) -> None:
    tree = setting_tree(tmp_path)
    with pytest.raises(ValueError, match=r"there is no table \[grounds.night\]"):
        DomainRecipe.model_validate(tree | {"target": "night"})
    with pytest.raises(ValueError, match="give either cities, or images with captions"):
        DomainRecipe.model_validate(tree | {"grounds": tree["grounds"] | {"day": {"images": "x"}}})


def setting_tree(folder: Path) -> dict[str, Any]:
    return json.loads(domain_recipe(folder).model_dump_json(exclude_defaults=True))  # type: ignore[no-any-return]
