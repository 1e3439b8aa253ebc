"""Trading over UFTP by itself: what an aggregator and a grid operator do with what they accept, from messages alone."""
