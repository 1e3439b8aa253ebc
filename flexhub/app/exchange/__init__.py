"""What the exchange decides: one pure handler per kind of message. `handlers.build` lists them."""
