"""What asks for hosts: API objects in, claims out. Pure."""
