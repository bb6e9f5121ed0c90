"""Learning from an index's own ground: its co-located maps and pictures, so that the labels are free."""
