"""Lung fields out of frontal chest radiographs with an adversarially trained U-Net."""

__version__ = "0.1.0"
