"""What a flex-offer is and what may happen to it. Pure; imports nothing else of flexhub."""
