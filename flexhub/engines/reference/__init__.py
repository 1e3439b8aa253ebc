"""The reference engines: one simple, provable implementation per slot."""
