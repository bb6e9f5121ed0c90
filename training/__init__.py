"""Makes better encoders."""
