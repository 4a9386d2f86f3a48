"""A search whose trials train real networks."""
