"""One radiograph or mask file in or out."""
