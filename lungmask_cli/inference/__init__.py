"""Weights in, masks out."""
