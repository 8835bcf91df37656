"""DICOM radiographs and segmentations."""
