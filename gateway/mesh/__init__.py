"""What the gateway answers itself: the mesh as a whole, from the registry and its own guards."""
