"""The doctor on clusters that are broken on purpose, in a network of their own where pods have addresses."""
