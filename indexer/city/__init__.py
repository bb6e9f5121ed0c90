"""The procedural city: an endless, deterministic town with OpenStreetMap tags. Synthetic, and never passed off as real."""
