"""How the mesh comes to stand: machine set-up, code generation, Envoy's config, the supervisor."""
