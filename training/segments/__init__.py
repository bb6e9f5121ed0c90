"""Learning from segments: words against the parts of a picture, beside words against the whole."""
