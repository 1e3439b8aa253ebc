"""The hub loop: journal, decide, commit, send. Nothing acknowledged is lost."""
