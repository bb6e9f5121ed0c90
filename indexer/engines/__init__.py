"""Where an index build runs."""
