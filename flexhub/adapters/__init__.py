"""What carries and keeps bytes: HTTP, the store, data from files, notices."""
