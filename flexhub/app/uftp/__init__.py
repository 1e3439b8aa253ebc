"""UFTP participants as roles of a hub: endpoint, conversations in the hub loop, directory of keys, and sending."""
