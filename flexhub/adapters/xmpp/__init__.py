"""XMPP: a client that stays connected, which carries XML elements in IQs and knows no meaning."""
