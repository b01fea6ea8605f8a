"""Weights: the manifest, loading, converting, publishing."""
