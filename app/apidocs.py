"""/docs: the OpenAPI description as a page of its own, so that it can be read with the network off."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any


def docs_page(openapi: dict[str, Any]) -> str:
    """The page for an OpenAPI document."""
    operations = [
        (method.upper(), path, operation, _body(operation))
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    return str(_template().render(info=openapi["info"], operations=operations, schemas=_schemas(openapi)))


def _body(operation: dict[str, Any]) -> str:
    """What the request's body must be, e.g. "application/json: Query", or "" """
    content = operation.get("requestBody", {}).get("content", {})
    return ", ".join(f"{kind}: {type_name(facts['schema'])}" for kind, facts in content.items())


def _schemas(openapi: dict[str, Any]) -> list[tuple[str, str, list[tuple[str, str, str]]]]:
    """Name, description, and fields (name, type, default) of each schema."""
    found = []
    for name, schema in openapi.get("components", {}).get("schemas", {}).items():
        required = set(schema.get("required", ()))
        fields = [
            (field, type_name(facts), "required" if field in required else repr(facts.get("default", "")))
            for field, facts in schema.get("properties", {}).items()
        ]
        found.append((name, schema.get("description", ""), fields))
    return found


def type_name(schema: dict[str, Any]) -> str:
    """A schema in one word or a few: "string", "Hit[]", "TextPart | ImagePart"."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(type_name(choice) for choice in schema[key]))
    if "enum" in schema or "const" in schema:
        return " | ".join(map(repr, schema.get("enum", [schema.get("const")])))
    if schema.get("type") == "array":
        inner = schema.get("items") or {}
        return f"{type_name(inner)}[]" if inner else "array"
    return str(schema.get("format") or schema.get("type") or "any")


@cache
def _template() -> Any:
    from jinja2 import Environment

    source = files("app").joinpath("templates/apidocs.html").read_text("utf-8")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source)
