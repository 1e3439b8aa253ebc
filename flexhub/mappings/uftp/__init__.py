"""UFTP's messages into the core and back, with every field's fate declared."""
