"""`python -m ssdnet` is the command line."""

from ssdnet.cli import main

if __name__ == "__main__":
    main()
