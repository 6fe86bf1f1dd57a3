"""The mesh in containers, which must be up; `make compose-test` runs these."""
