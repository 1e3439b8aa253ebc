"""flexhub: every dialect of demand flexibility into one flex-offer, and back."""
