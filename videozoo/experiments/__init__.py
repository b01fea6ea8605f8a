"""Controlled experiments: several methods under the same data, budget and seeds, measured into one table."""
