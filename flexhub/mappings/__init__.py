"""Wire message to core and back, every loss declared."""
