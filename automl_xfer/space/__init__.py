"""The search space: which strategies the data, the backbones and the catalog admit."""
