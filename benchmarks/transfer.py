"""The shipped model on towns of each of the city's countries that no recipe learns from: by words, both ways."""

from __future__ import annotations

from typing import Any

from models.bundle import load_bundle
from training.published import provenance
from training.transfer import COUNTRIES, country_tiles, transfer_matrix

_KS = ("R@1", "R@5", "R@10")


def run(model: str = "mini") -> dict[str, Any]:
    """SYNTHETIC: mean recall with its interval and chance, and the six recalls, of each country."""
    tiles = [country_tiles(country) for country in COUNTRIES]
    row = transfer_matrix({model: load_bundle(model)}, tiles)[model]
    figures: dict[str, Any] = {"model": model, "learned from": "; ".join(provenance(model)["trained_on"])}
    for country, found in row.items():
        chance = sum(value for way in found["chance"].values() for value in way.values()) / 6
        alike, low_high = found["text_equivalent"], found["text_equivalent"]["interval"]
        figures[f"country {country}: tiles, captions"] = f"{found['images']}, {found['captions']}"
        figures[f"country {country}: mean recall (chance)"] = (
            f"{found['mean_recall']} {found['intervals']['mean_recall']} ({chance:.2f})"
        )
        figures[f"country {country}: mean recall, the same words count"] = f"{alike['mean_recall']} {low_high}"
        for way in ("text_to_image", "image_to_text"):
            figures[f"country {country}: {way} R@1/5/10"] = "/".join(f"{found[way][k]:.1f}" for k in _KS)
    return figures
