"""Every request of the HTTP API, as its schema (`/openapi.json`) has it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from guide.markdown import cell, table
from service.app import create_app
from service.errors import MEDIA_TYPE
from service.settings import ServiceSettings

_SEVERAL: Final = ("anyOf", "oneOf", "allOf")
_BOUNDS: Final = {"minimum": "≥", "maximum": "≤"}


def as_markdown() -> str:
    """A section for each, in the order of their paths."""
    # Only the schema is read: nothing is asked of this database.
    app = create_app(ServiceSettings(database_url="postgresql://nobody@127.0.0.1:1/none"))
    return "\n".join(_sections(app.openapi()))


def _sections(schema: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in sorted(schema["paths"].items()):
        for method, operation in methods.items():
            if method != "head":
                yield from _section(f"{method.upper()} {path}", operation)


def _section(title: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {title}\n\n{operation.get('description', operation.get('summary', ''))}\n"
    given = (each for each in operation.get("parameters", ()) if each["in"] != "cookie")
    yield from table(
        ("parameter", "in", "what it takes", "what it is"),
        (
            (
                f"`{each['name']}`",
                each["in"],
                _type(each.get("schema", {})) + (", required" if each.get("required") and each["in"] != "path" else ""),
                cell(each.get("description")),
            )
            for each in given
        ),
    )
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Body: `{kind}`, {_type(content.get('schema', {}))}\n"
    yield from table(
        ("status", "what it means", "body"),
        (
            (status, cell(answer.get("description")), _bodies(answer))
            for status, answer in sorted(operation["responses"].items())
        ),
    )


def _bodies(answer: Mapping[str, Any]) -> str:
    return ", ".join(
        "a problem" if kind == MEDIA_TYPE else f"`{kind}` {_type(content.get('schema', {}))}".strip()
        for kind, content in answer.get("content", {}).items()
    )


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    for several in _SEVERAL:
        if several in schema:
            members = (_type(each) for each in schema[several] if each.get("type") != "null")
            return " or ".join(dict.fromkeys(members))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    told = [f"{sign} {schema[bound]}" for bound, sign in _BOUNDS.items() if bound in schema]
    return ", ".join([str(schema.get("type", "")), *told])
