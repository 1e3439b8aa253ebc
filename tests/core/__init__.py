"""Tests of flexhub.core."""
