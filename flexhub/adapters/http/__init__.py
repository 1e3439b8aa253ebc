"""HTTP: the client side, which carries bytes and knows no meaning."""
