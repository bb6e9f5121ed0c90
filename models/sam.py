"""Segment Anything as a segmenter: its own automatic mask generator, weights from the hub or a local file.

Source: Kirillov et al. 2023, Segment Anything.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from geoanchor.errors import BadInput, ModelNotFound, OfflineError
from geoanchor.image import Pixels
from geoanchor.segment import Mask
from geoanchor.settings import Settings

_REPOSITORY = "ybelkada/segment-anything"
_FILES = {
    "vit_b": "checkpoints/sam_vit_b_01ec64.pth",
    "vit_l": "checkpoints/sam_vit_l_0b3195.pth",
    "vit_h": "checkpoints/sam_vit_h_4b8939.pth",
}
_POINTS_PER_SIDE = 16
"""Prompts along a side: a tile is small, and a part below half a hundredth of it is not kept anyway."""
_PROMPT_DIM = 256
_MEAN, _STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def open_sam(name: str, settings: Settings) -> SamSegmenter:
    """The segmenter of vit_b, vit_l or vit_h (fetched on first use), or of a checkpoint file.

    Raises ModelNotFound for another name, OfflineError when weights would have to be fetched and the network is off.
    """
    if name in _FILES:
        return SamSegmenter(_fetched(name, settings))
    if Path(name).is_file():
        return SamSegmenter(Path(name))
    raise ModelNotFound(f"sam:{name}: neither a file nor one of {', '.join(_FILES)}")


def _fetched(name: str, settings: Settings) -> Path:
    local = settings.cache_dir / "weights" / f"sam-{name}.pth"
    if local.is_file():
        return local
    try:
        found = hf_hub_download(
            _REPOSITORY, _FILES[name], cache_dir=settings.cache_dir / "hub", local_files_only=settings.offline
        )
    except (LocalEntryNotFoundError, HfHubHTTPError) as error:
        raise OfflineError(
            f"sam:{name}: cannot fetch {_FILES[name]} of {_REPOSITORY} from the hub; get it and put it at {local}"
        ) from error
    return Path(found)


class SamSegmenter:
    """Every mask that the model is sure of, over a grid of points.

    Args:
        weights: a SAM checkpoint, read on first use; its shapes tell which of the models it is.
        device: torch's name; None takes a GPU where there is one.
        settings of `SamAutomaticMaskGenerator`: points_per_side, pred_iou_thresh, stability_score_thresh.
    """

    def __init__(
        self,
        weights: Path,
        device: str | None = None,
        points_per_side: int = _POINTS_PER_SIDE,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
    ) -> None:
        self._weights = weights
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._options: dict[str, Any] = {
            "points_per_side": points_per_side,
            "pred_iou_thresh": pred_iou_thresh,
            "stability_score_thresh": stability_score_thresh,
        }
        self._one_at_a_time = Lock()

    def segment(self, pixels: Pixels) -> Sequence[Mask]:
        """Parts of (h, w, 3) uint8 with SAM's own stability scores; they may overlap. Raises BadInput for weights that
        are no SAM's."""
        # The generator keeps the picture's features between its steps.
        with self._one_at_a_time, torch.inference_mode():
            found = self._generator.generate(np.ascontiguousarray(pixels))
        return [Mask(np.asarray(mask["segmentation"], bool), float(mask["stability_score"])) for mask in found]

    @cached_property
    def _generator(self) -> Any:
        where = str(self._weights)
        try:
            state = torch.load(self._weights, map_location="cpu", weights_only=True)
            model = build_sam(state)
        except pickle.UnpicklingError as error:
            raise BadInput(where, "holds more than plain weights and could run code; get the published file") from error
        except (RuntimeError, KeyError, AttributeError, ValueError, EOFError, OSError, IndexError) as error:
            raise BadInput(where, "does not hold the weights of a Segment Anything model") from error
        return SamAutomaticMaskGenerator(model.to(self._device).eval(), **self._options)


def build_sam(state: Mapping[str, torch.Tensor]) -> Sam:
    """A SAM from its weights: the image encoder's depth, widths, heads and windows are read off their shapes.

    Raises KeyError or RuntimeError where they are not a SAM's.
    """
    width, _, patch, _ = state["image_encoder.patch_embed.proj.weight"].shape
    grid = state["image_encoder.pos_embed"].shape[1]
    blocks = sorted({int(name.split(".")[2]) for name in state if name.startswith("image_encoder.blocks.")})
    spans = [(state[f"image_encoder.blocks.{n}.attn.rel_pos_h"].shape[0] + 1) // 2 for n in blocks]
    encoder = ImageEncoderViT(
        depth=len(blocks),
        embed_dim=width,
        img_size=grid * patch,
        mlp_ratio=state["image_encoder.blocks.0.mlp.lin1.bias"].shape[0] / width,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        num_heads=width // state["image_encoder.blocks.0.attn.rel_pos_h"].shape[1],
        patch_size=patch,
        use_rel_pos=True,
        global_attn_indexes=[n for n, span in zip(blocks, spans, strict=True) if span == grid],
        window_size=min(spans),
        out_chans=_PROMPT_DIM,
    )
    prompts = PromptEncoder(_PROMPT_DIM, (grid, grid), (grid * patch, grid * patch), mask_in_chans=16)
    transformer = TwoWayTransformer(depth=2, embedding_dim=_PROMPT_DIM, mlp_dim=2048, num_heads=8)
    sam = Sam(encoder, prompts, MaskDecoder(transformer_dim=_PROMPT_DIM, transformer=transformer), _MEAN, _STD)
    sam.load_state_dict(dict(state))
    return sam
