"""Weights on disk, and the networks that are made of them."""
