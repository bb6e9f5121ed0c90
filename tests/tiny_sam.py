"""The real Segment Anything, made tiny: its own classes with random weights."""

from __future__ import annotations

from functools import partial

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer


def tiny_sam() -> Sam:
    torch.manual_seed(0)
    encoder = ImageEncoderViT(
        img_size=128, embed_dim=32, depth=3, num_heads=2, window_size=4, use_rel_pos=True, global_attn_indexes=(1,),
        out_chans=256, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
    )  # fmt: skip
    decoder = MaskDecoder(
        transformer_dim=256, transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
    )
    return Sam(encoder, PromptEncoder(256, (8, 8), (128, 128), 16), decoder).eval()
