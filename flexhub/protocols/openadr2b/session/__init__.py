"""OpenADR 2.0b as a conversation, pure: who is registered, which events and reports are under way, what to say."""
