"""One radiograph or mask in, one out; knows no models."""
