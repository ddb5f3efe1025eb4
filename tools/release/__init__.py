"""`make release`: what is published of one version, made of the commit that is checked out."""
