"""OpenADR 2.0b: messages of its five services, codec, signatures and the rules about one message; no IO."""
