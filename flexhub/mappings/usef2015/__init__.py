"""USEF 2015's messages into UFTP's and back, and through them into the core, with every field's fate declared."""
