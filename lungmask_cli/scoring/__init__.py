"""Compares predicted masks with reference masks: metrics, statistics, tables and plots. Knows no Keras."""
