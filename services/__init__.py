"""The services of the mesh: a folder with a `__main__.py` is one. They never import each other."""
