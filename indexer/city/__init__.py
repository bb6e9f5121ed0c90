"""The procedural city: an endless, deterministic town with OpenStreetMap tags; synthetic, never passed off as real."""
