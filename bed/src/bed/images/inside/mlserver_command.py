#!/usr/bin/python3
"""The mlserver command."""

from mlserver.cli import main

if __name__ == "__main__":
    main()
