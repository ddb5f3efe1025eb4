"""What the data plane costs, beside others that do the same."""
