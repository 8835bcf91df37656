"""Batches, augmentation, the training run and what it leaves behind."""
