"""Reading data off a page into the shape of a JSON schema, by rules."""
