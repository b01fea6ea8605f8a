"""The shared LightningModule, optimisation and training strategies."""
