"""Speed and memory beside named rivals, as ratios measured in one run."""
