"""Data from files, and notices to people."""
