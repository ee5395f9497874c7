"""From sources and objects to an image: assembling, loading, placing."""
