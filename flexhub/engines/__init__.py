"""Manager, market and agent engines, in plugin slots."""
