"""OpenADR 2.0b in a hub: its VTN, and the VENs that it is of others."""
