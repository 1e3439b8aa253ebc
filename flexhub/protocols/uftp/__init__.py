"""UFTP (USEF Flex Trading Protocol, Shapeshifter) 3.0.0 and 3.1.0: messages, codec, envelope, rules and session."""
