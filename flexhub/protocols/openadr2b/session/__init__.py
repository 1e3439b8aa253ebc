"""OpenADR 2.0b as a conversation, pure: who is registered, which events and reports run, and what is to be said."""
