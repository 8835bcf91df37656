"""Comparing masks with NumPy alone; knows no Keras."""
