"""Doors: processes of their own that speak HTTP and hand messages to the hub's process, so that both have a core."""
