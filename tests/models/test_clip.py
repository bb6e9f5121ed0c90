import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file

from geoanchor.errors import BadInput, ModelNotFound, OfflineError
from geoanchor.settings import Settings
from models.bundle import PRESETS, load_bundle
from models.clip import _PRESETS, resize
from models.precision import quick_bfloat16

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
RANDOM = np.random.default_rng(3)
PICTURES = [RANDOM.integers(0, 256, shape, np.uint8) for shape in ((32, 32, 3), (90, 61, 3), (40, 200, 3))]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of a tiny architecture, saved as open_clip's own training saves it and as safetensors."""
    folder = tmp_path_factory.mktemp("clip")
    wide = TINY | {"vision_cfg": TINY["vision_cfg"] | {"width": 128}}
    for name, config in (("GA-tiny", TINY), ("GA-tiny-wide", wide)):
        (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    torch.manual_seed(1)
    model = open_clip.create_model("GA-tiny")
    torch.save({"epoch": 1, "state_dict": model.state_dict()}, folder / "tiny.pt")
    save_file(model.state_dict(), folder / "tiny.safetensors")
    return folder


@pytest.fixture(autouse=True)
def _restore_hub_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", constants.HF_HUB_OFFLINE)


@pytest.mark.parametrize("file", ["tiny.pt", "tiny.safetensors"])
def test_vectors_are_open_clips_own(weights: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)  # a processor without bfloat16
    encoder = load_bundle(f"clip:GA-tiny/{weights / file}", Settings(offline=True))
    model, _, transform = open_clip.create_model_and_transforms("GA-tiny", pretrained=str(weights / "tiny.pt"))
    with torch.inference_mode():
        pictures = model.eval().encode_image(torch.stack([transform(Image.fromarray(p)) for p in PICTURES]))
        texts = model.encode_text(open_clip.get_tokenizer("GA-tiny")(["a stadium", "houses by a river"]))
    expected = torch.nn.functional.normalize(pictures).numpy()
    np.testing.assert_allclose(encoder.encode(PICTURES, "aerial")["semantic"], expected, atol=1e-5)
    prepared = [encoder.prepare(picture, "map") for picture in PICTURES]
    np.testing.assert_allclose(encoder.encode(prepared, "map")["semantic"], expected, atol=1e-5)
    vectors = encoder.encode(["a stadium", "houses by a river"], "text")["semantic"]
    np.testing.assert_allclose(vectors, torch.nn.functional.normalize(texts).numpy(), atol=1e-5)
    assert encoder.spaces["semantic"].dim == vectors.shape[1] == 24
    assert encoder.encode([], "text")["semantic"].shape == (0, 24)


@pytest.mark.skipif(not quick_bfloat16(), reason="this processor is not quicker with bfloat16")
def test_quick_products_change_no_answer_and_nobody_elses_arithmetic(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_bundle(f"clip:GA-tiny/{weights / 'tiny.pt'}")
    pictures = [RANDOM.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(40)]
    quick = encoder.encode(pictures, "aerial")["semantic"]
    assert torch.backends.mkldnn.matmul.fp32_precision == "none"
    np.testing.assert_array_equal(encoder.encode(pictures, "aerial")["semantic"], quick)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    exact = encoder.encode(pictures, "aerial")["semantic"]
    assert not np.array_equal(exact, quick), "nothing was made quicker"
    assert (exact * quick).sum(1).min() >= 0.9995


@pytest.mark.parametrize("mode", ["shortest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("shape", [(61, 90), (90, 61), (224, 224), (300, 100), (33, 500), (256, 256)])
def test_preprocessing_is_open_clips_own(mode: str, interpolation: str, shape: tuple[int, int]) -> None:
    to = PreprocessCfg(size=64, interpolation=interpolation, resize_mode=mode)
    pixels = RANDOM.integers(0, 256, (*shape, 3), np.uint8)
    raw = replace(to, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    expected = (image_transform_v2(raw, is_train=False)(Image.fromarray(pixels)) * 255).permute(1, 2, 0).numpy()
    ours = resize(pixels, to)
    np.testing.assert_array_equal(ours, expected.round().astype(np.uint8))
    assert resize(ours, to) is ours


def test_fingerprint_follows_weights_and_architecture(weights: Path) -> None:
    def fingerprint(name: str) -> str:
        return load_bundle(name).spaces["semantic"].fingerprint

    pt, st = f"clip:GA-tiny/{weights / 'tiny.pt'}", f"clip:GA-tiny/{weights / 'tiny.safetensors'}"
    assert fingerprint(pt) == fingerprint(pt)
    assert len({fingerprint(pt), fingerprint(st), fingerprint(f"clip:GA-tiny-wide/{weights / 'tiny.pt'}")}) == 3


@pytest.mark.parametrize("file", ["tiny.pt", "tiny.safetensors"])
def test_weights_of_another_architecture_are_one_sentence(weights: Path, file: str) -> None:
    encoder = load_bundle(f"clip:GA-tiny-wide/{weights / file}")
    with pytest.raises(BadInput, match="does not hold the weights of a GA-tiny-wide"):
        encoder.encode(PICTURES, "aerial")


class _Bomb:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("exploded"),)


def test_a_pickle_with_code_is_refused(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"x": _Bomb()}}, tmp_path / "bomb.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(_Bomb(), protocol=2))
    for name in ("bomb.pt", "plain.pt"):
        encoder = load_bundle(f"clip:GA-tiny/{name}")
        with pytest.raises(BadInput, match=f"{name}: holds more than plain weights"):
            encoder.encode(["river"], "text")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_damaged_file_is_one_sentence(weights: Path, tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="damaged"):
        load_bundle(f"clip:GA-tiny/{path}").encode(["river"], "text")


def test_names_that_lead_nowhere_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no architecture 'ViT-Z-99'"):
        load_bundle("clip:ViT-Z-99/openai")
    with pytest.raises(ModelNotFound, match="its tags: openai"):
        load_bundle("clip:ViT-B-32/no_such_tag")
    with pytest.raises(ModelNotFound, match="its tags: openai"):
        load_bundle("clip:ViT-B-32")


def test_every_preset_has_its_place() -> None:
    assert set(PRESETS) == set(_PRESETS)
    assert {preset.architecture for preset in _PRESETS.values()} <= set(open_clip.list_models())


@pytest.mark.parametrize(
    "name", [*(p for p in PRESETS if "skyclip" not in p), "clip:ViT-B-32/openai", "clip:RN50/yfcc15m"]
)
def test_offline_says_what_to_fetch_and_dials_nobody(name: str, tmp_path: Path) -> None:
    with pytest.raises(OfflineError, match=f"{name}: cannot fetch"):
        load_bundle(name, Settings(offline=True, cache_dir=tmp_path))


@pytest.mark.parametrize("name", ["skyclip-vit-b-32", "remoteclip-vit-b-32"])
def test_a_preset_takes_the_file_put_in_its_place(name: str, tmp_path: Path) -> None:
    settings = Settings(offline=True, cache_dir=tmp_path)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / f"{name}.pt").write_bytes(b"not weights")
    encoder = load_bundle(name, settings)
    assert (encoder.name, encoder.spaces["semantic"].dim) == (name, 512)


def test_skyclip_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"SkyCLIP_ViT_B32_top50pct\.zip"):
        load_bundle("skyclip-vit-b-32", Settings(cache_dir=tmp_path))
