"""Known folder layouts, splits and the prepared data set."""
