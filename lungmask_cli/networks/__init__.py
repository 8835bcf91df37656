"""Generators, discriminators, losses and the adversarial game, in Keras; knows no files."""
