"""A page of pictures with values, in one HTML file, to look through many masks by eye."""
