"""`python -m hairpin_proxy`, the same as the command `hairpin-proxy`."""

from hairpin_proxy.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
