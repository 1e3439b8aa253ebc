"""Wire formats: messages, codec, rules and session of each protocol. No IO."""
