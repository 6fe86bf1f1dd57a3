"""The mesh in containers: what docker-compose.yml needs before its first container can start."""
