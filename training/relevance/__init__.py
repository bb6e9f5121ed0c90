"""Calibrated relevance: galleries with known truth, queries with and without a right answer, and the fit."""
