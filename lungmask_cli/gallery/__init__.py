"""A page of pictures with values, in one HTML file, for the visual inspection of many masks."""
