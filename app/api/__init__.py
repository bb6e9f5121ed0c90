"""REST: the same Query and the same hits over HTTP, one file a noun."""

from app.api.service import create_api

__all__ = ["create_api"]
