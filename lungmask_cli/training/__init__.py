"""Training: plan, batches, augmentation, the run and its files."""
