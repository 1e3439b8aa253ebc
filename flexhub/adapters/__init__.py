"""What carries and keeps bytes: HTTP, the store."""
