"""Across frames: temporal shift, consensus, adaptive pooling, clustering."""
