"""Examples of holdfast; each runs by itself."""
