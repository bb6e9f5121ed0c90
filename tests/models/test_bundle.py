import json
import subprocess
import sys
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from geoanchor.errors import BadInput, ModelNotFound, UnsupportedModality
from geoanchor.settings import Settings
from models.bundle import (
    CARD_NAME,
    MANIFEST_NAME,
    SHIPPED,
    WEIGHTS_NAME,
    Branch,
    BundleManifest,
    SpaceSpec,
    list_bundles,
    load_bundle,
    read_bundle,
)
from models.text import MINILM_SHA256, SentenceEncoder, _installed_folder, file_sha256
from models.towers import Head, ImageTower, fold_batchnorm

torch = pytest.importorskip("torch")
SIZE, DIM, HIDDEN, LAYOUT = 64, 16, 24, 4
PICTURE = np.random.default_rng(5).integers(0, 256, (100, 140, 3), np.uint8)


def write(folder: Path, tensors: dict, **changes: object) -> Path:
    """A bundle folder with tiny random towers."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS_NAME)
    picture = Branch(architecture="mobilenetv4_conv_small_035", size_px=SIZE, layout_channels=LAYOUT)
    words = Branch(
        architecture="all-MiniLM-L6-v2",
        weights_sha256=MINILM_SHA256,
        tokeniser_sha256=file_sha256(_installed_folder() / "tokenizer.json"),
    )
    manifest = BundleManifest(
        name="tiny",
        description="random",
        backend="towers",
        branches={"aerial": picture, "map": picture, "text": words},
        spaces={"semantic": SpaceSpec(dim=DIM, modalities=("aerial", "map", "text"))},
        weights_sha256=file_sha256(folder / WEIGHTS_NAME),
        licence="none",
    )
    data = manifest.model_dump(mode="json")
    data.update(changes)
    (folder / MANIFEST_NAME).write_text(json.dumps(data), "utf-8")
    return folder


def random_tensors(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    parts = {
        "aerial": ImageTower("mobilenetv4_conv_small_035", SIZE, DIM, HIDDEN, LAYOUT),
        "map": ImageTower("mobilenetv4_conv_small_035", SIZE, DIM, HIDDEN, LAYOUT),
        "text.head": Head(384, HIDDEN, DIM),
    }
    return {f"{part}.{name}": t.numpy() for part, module in parts.items() for name, t in module.state_dict().items()}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("bundles") / "tiny", random_tensors())


def fingerprint(folder: Path) -> str:
    return load_bundle(folder).spaces["semantic"].fingerprint


def test_every_modality_gives_unit_vectors_of_one_space(bundle: Path) -> None:
    encoder = load_bundle(str(bundle))
    assert encoder.name == str(bundle)
    for modality, items in (("aerial", [PICTURE, PICTURE[:50]]), ("map", [PICTURE]), ("text", ["river", ""])):
        vectors = encoder.encode(items, modality)["semantic"]
        assert vectors.shape == (len(items), DIM)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert encoder.encode([], modality)["semantic"].shape == (0, DIM)


def test_an_unknown_modality_is_refused(bundle: Path) -> None:
    encoder = load_bundle(bundle)
    with pytest.raises(UnsupportedModality, match="ground; it knows aerial, map, text"):
        encoder.encode([PICTURE], "ground")
    with pytest.raises(UnsupportedModality):
        encoder.neutral("ground")


def test_a_part_of_an_aerial_picture_is_seen_as_one(bundle: Path) -> None:
    encoder = load_bundle(bundle)
    parts = encoder.encode([PICTURE, PICTURE[:50]], "segment")
    assert list(parts) == ["semantic"]
    np.testing.assert_allclose(parts["semantic"][0], encoder.encode([PICTURE], "aerial")["semantic"][0], atol=1e-5)
    assert encoder.encode([], "segment")["semantic"].shape == (0, DIM)
    assert encoder.neutral("segment") == (128, 128, 128)


def test_text_in_numpy_equals_the_trained_head(bundle: Path) -> None:
    head = Head(384, HIDDEN, DIM)
    tensors = load_file(bundle / WEIGHTS_NAME)
    head.load_state_dict({k.removeprefix("text.head."): torch.tensor(v) for k, v in tensors.items() if "text" in k})
    sentences = torch.from_numpy(SentenceEncoder().encode(["stadium", "a river and its bridge"]))
    ours = load_bundle(bundle).encode(["stadium", "a river and its bridge"], "text")["semantic"]
    np.testing.assert_allclose(ours, head(sentences).detach().numpy(), atol=1e-5)


def test_prepare_is_idempotent_and_what_encode_does(bundle: Path) -> None:
    encoder = load_bundle(bundle)
    small = encoder.prepare(PICTURE, "aerial")
    assert small.shape == (SIZE, SIZE, 3)
    assert small.dtype == np.uint8
    assert encoder.prepare(small, "aerial") is small
    raw, prepared = (encoder.encode([item], "aerial")["semantic"] for item in (PICTURE, small))
    np.testing.assert_array_equal(raw, prepared)


def test_prepare_does_not_alias() -> None:
    """A fine checkerboard shrinks to its mean, not to one of its two colours."""
    board = np.indices((512, 512)).sum(0) % 2 * 255
    folder_free = Branch(architecture="x", size_px=64)
    from models.tower_encoder import resize

    small = resize(np.repeat(board[..., None], 3, 2).astype(np.uint8), folder_free)
    assert np.abs(small.astype(int) - 127).max() <= 2


def test_first_use_from_many_threads_gives_one_answer(bundle: Path) -> None:
    encoder, answers = load_bundle(bundle), []

    def ask() -> None:
        answers.append(encoder.encode([encoder.prepare(PICTURE, "aerial")], "aerial")["semantic"])

    threads = [Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert all(np.array_equal(answers[0], other) for other in answers)


def test_folding_changes_nothing_but_the_number_of_modules() -> None:
    torch.manual_seed(0)
    tower = ImageTower("mobilenetv4_conv_small_035", SIZE, DIM, HIDDEN, LAYOUT).eval()
    for module in tower.modules():  # a fresh norm is nearly the identity, which would prove little
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(), module.running_var.uniform_(0.5, 2), module.weight.data.uniform_(0.5, 2)
    folded = fold_batchnorm(tower, SIZE)
    x = torch.randn(3, 3, SIZE, SIZE)
    with torch.inference_mode():
        np.testing.assert_allclose(folded(x), tower(x), atol=1e-4)
    assert not [m for m in folded.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert [m for m in tower.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_whatever_moves_a_vector_moves_the_fingerprint(bundle: Path, tmp_path: Path) -> None:
    tensors = random_tensors()
    base = json.loads((bundle / MANIFEST_NAME).read_text())
    seen = {fingerprint(bundle)}
    assert fingerprint(write(tmp_path / "same", tensors)) in seen
    other = tensors | {"text.head.inner.bias": tensors["text.head.inner.bias"] + np.float32(1e-3)}
    seen.add(fingerprint(write(tmp_path / "weights", other)))
    for modality, field, value in (
        ("aerial", "size_px", 96),
        ("map", "interpolation", "bicubic"),
        ("map", "mean", [0.4, 0.5, 0.5]),
        ("aerial", "std", [0.3, 0.25, 0.25]),
        ("text", "tokeniser_sha256", "0" * 64),
        ("text", "weights_sha256", "0" * 64),
    ):
        branches = json.loads(json.dumps(base["branches"]))
        branches[modality][field] = value
        seen.add(fingerprint(write(tmp_path / f"{modality}-{field}", tensors, branches=branches)))
    assert len(seen) == 8


def test_words_about_a_bundle_do_not_move_it(bundle: Path, tmp_path: Path) -> None:
    renamed = write(tmp_path / "renamed", random_tensors(), description="other words", quality={"R@1": 1.0})
    assert fingerprint(renamed) == fingerprint(bundle)


def test_damaged_weights_are_one_sentence(bundle: Path, tmp_path: Path) -> None:
    damaged = write(tmp_path / "damaged", random_tensors())
    with open(damaged / WEIGHTS_NAME, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    with pytest.raises(BadInput, match="SHA-256 differs"):
        load_bundle(damaged).encode([PICTURE], "map")
    (damaged / WEIGHTS_NAME).unlink()
    with pytest.raises(BadInput, match="missing"):
        load_bundle(damaged).encode(["river"], "text")


def test_weights_of_another_shape_are_one_sentence(bundle: Path, tmp_path: Path) -> None:
    branches = json.loads((bundle / MANIFEST_NAME).read_text())["branches"]
    branches["map"]["layout_channels"] = 8
    folder = write(tmp_path / "shape", random_tensors(), branches=branches)
    with pytest.raises(BadInput, match="does not hold a mobilenetv4_conv_small_035 tower for map"):
        load_bundle(folder).encode([PICTURE], "map")


def test_another_tokeniser_is_refused(bundle: Path, tmp_path: Path) -> None:
    branches = json.loads((bundle / MANIFEST_NAME).read_text())["branches"]
    branches["text"]["tokeniser_sha256"] = "0" * 64
    folder = write(tmp_path / "tokens", random_tensors(), branches=branches)
    with pytest.raises(BadInput, match="not the tokeniser"):
        load_bundle(folder).encode(["river"], "text")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"spaces": {"semantic": {"dim": 0, "modalities": ["text"]}}}, "dim"),
        ({"spaces": {"semantic": {"dim": 4, "modalities": ["ground"]}}}, "no branch"),
        ({"spaces": {"structure": {"dim": 4, "modalities": ["map"]}}}, "backend 'towers' makes the space"),
        ({"backend": "os:system"}, "unknown backend"),
        ({"surprise": 1}, "surprise"),
        ({"format_version": 2}, "format_version"),
    ],
)
def test_a_bad_manifest_is_one_sentence(tmp_path: Path, change: dict, reason: str) -> None:
    folder = write(tmp_path / "bad", {"x": np.zeros(1, np.float32)}, **change)
    with pytest.raises(BadInput, match=reason):
        load_bundle(folder)
    (folder / MANIFEST_NAME).write_text("{")
    with pytest.raises(BadInput, match="not a bundle manifest"):
        load_bundle(folder)


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no model 'nimi'.*toy"):
        load_bundle("nimi")
    with pytest.raises(ModelNotFound, match=r"holds no bundle\.json"):
        load_bundle(tmp_path)


def test_toy_and_its_salts_are_different_spaces() -> None:
    plain, salted = load_bundle("toy"), load_bundle("toy:other", Settings())
    assert (plain.name, salted.name) == ("toy", "toy:other")
    assert plain.spaces["semantic"].dim == salted.spaces["semantic"].dim
    assert plain.spaces["semantic"].fingerprint != salted.spaces["semantic"].fingerprint


def test_text_and_manifest_need_no_torch(bundle: Path) -> None:
    program = (
        "import sys; from models.bundle import load_bundle\n"
        f"encoder = load_bundle({str(bundle)!r}); encoder.spaces; encoder.encode(['river'], 'text')\n"
        "print(sorted({'torch', 'open_clip', 'timm', 'transformers'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_shipped_bundles_are_whole_small_and_have_a_card() -> None:
    for manifest in list_bundles():
        folder = SHIPPED / manifest.name
        assert read_bundle(folder) == manifest
        assert file_sha256(folder / WEIGHTS_NAME) == manifest.weights_sha256
        assert (folder / CARD_NAME).is_file()
        assert '"/' not in (folder / MANIFEST_NAME).read_text("utf-8"), "a path of the machine it was made on"
        assert (folder / WEIGHTS_NAME).stat().st_size <= 25_000_000
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 25 * 2**20
        assert set(load_bundle(manifest.name).spaces) == set(manifest.spaces)
