"""Weight files, and the networks that are loaded from them or exported."""
