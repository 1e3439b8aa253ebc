"""Where participants' published keys and addresses are looked up: a file, DNS, or one authority's address book."""
