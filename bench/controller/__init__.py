"""What the running controller costs: `python -m bench.controller`."""
