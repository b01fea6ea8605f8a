"""Attention blocks: features in, features of the same shape out, one file an idea."""
