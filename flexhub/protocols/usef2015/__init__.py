"""USEF 2015 (its XML schema 1.03), from which UFTP came: messages and codec."""
