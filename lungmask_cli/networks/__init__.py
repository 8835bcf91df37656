"""Generators, discriminators, losses and adversarial training, in Keras. Reads and writes no files."""
