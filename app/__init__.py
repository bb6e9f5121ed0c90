"""The edge: the only place that prints, exits and draws."""
