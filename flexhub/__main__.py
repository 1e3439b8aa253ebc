"""``python -m flexhub``: the command line."""

from flexhub.app.cli import main

if __name__ == "__main__":
    main()
