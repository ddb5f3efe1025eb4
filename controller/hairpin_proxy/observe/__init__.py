"""What the controller says of itself."""
