"""What rules cost CoreDNS: `python -m bench.dns`."""
