"""Steps from one shape of the tables to the next; `flexhub.adapters.store.upgrade` runs them."""
