"""Many radiographs: jobs, workers, the table of results, and what is written about all of them."""
