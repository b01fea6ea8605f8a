"""Metrics beyond torchmetrics, cost in parameters and multiply-adds, benchmarks as ratios."""
