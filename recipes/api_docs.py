"""The page of the HTTP interface, from its own OpenAPI description."""

import json
from collections.abc import Iterator
from typing import Any

from kinoscope.server.app import interface

TITLES = {
    "search": "Search",
    "library": "Library",
    "media": "Media",
    "openai": "The OpenAI interface",
    "server": "Server",
}
_INTRODUCTION = (
    "# HTTP interface\n\n"
    "Written by `make docs` from the server's own description, which a running server gives at"
    " `/openapi.json`. How to run one: [serve](serve.md).\n\n"
    "Bodies are JSON unless said otherwise. With a token each request has the header"
    " `Authorization: Bearer TOKEN`. Every answer that is no success is\n"
    '`{"error": {"type": "UsageError", "message": "one sentence with its remedy", "code": 400}}`;'
    " with 429 comes `Retry-After`, in seconds.\n"
)

Node = dict[str, Any]


def api_page() -> str:
    """All routes by subject, then all that goes in and out by name."""
    described = interface()
    parts = [_INTRODUCTION]
    for tag, title in TITLES.items():
        parts.append(f"## {title}\n")
        parts += [_route(*each) for each in _routes(described) if tag in each[2]["tags"]]
    parts.append("## What goes in and out\n")
    schemas = described["components"]["schemas"]
    parts += [
        _model(name, schemas[name]) for name in sorted(schemas) if "properties" in schemas[name]
    ]
    return "\n".join(parts)


def _routes(described: Node) -> Iterator[tuple[str, str, Node]]:
    for path, methods in described["paths"].items():
        for method, route in methods.items():
            assert set(route["tags"]) <= set(TITLES), f"a title for {route['tags']}"
            yield method.upper(), path, route


def _route(method: str, path: str, route: Node) -> str:
    """One heading, what it does, what it takes, what it gives."""
    lines = [f"### {method} {path}\n", route["description"], ""]
    for given in route.get("parameters", []):
        told = given.get("description", "")
        need = "" if given["required"] else ", optional"
        where = f"`{given['name']}` in the {given['in']}"
        lines.append(f"* {where}: {_kind(given['schema'])}{need}. {told}".rstrip())
    for kind, content in route.get("requestBody", {}).get("content", {}).items():
        lines.append(f"* Takes `{kind}`: {_kind(content.get('schema', {}))}.")
        for name, example in content.get("examples", {}).items():
            lines.append(f"  For {name}: `{json.dumps(example['value'])}`")
    for status, answer in route["responses"].items():
        if status.startswith("2"):
            kinds = ", ".join(
                f"`{kind}` {_kind(content.get('schema', {}))}".rstrip()
                for kind, content in answer.get("content", {}).items()
            )
            lines.append(f"* Gives {status}: {kinds or 'nothing'}.")
    failures = [status for status in route["responses"] if not status.startswith("2")]
    if failures:
        lines.append(f"* Fails with {', '.join(sorted(failures))}.")
    return "\n".join([*lines, ""])


def _model(name: str, schema: Node) -> str:
    """A table of fields."""
    needed = schema.get("required", [])
    lines = [
        f"### {name}\n",
        schema.get("description", ""),
        "",
        "| field | is | |",
        "|---|---|---|",
    ]
    for field, value in schema["properties"].items():
        default = value.get("default")
        told = value.get("description", "")
        if default not in (None, [], ""):
            told = f"{told} Default {json.dumps(default)}.".strip()
        need = "" if field in needed else ", optional"
        cells = (f"`{field}`", f"{_kind(value)}{need}", told)
        lines.append(f"| {' | '.join(cell.replace('|', ' or ') for cell in cells)} |")
    return "\n".join([*lines, ""])


def _kind(schema: Node) -> str:
    """What a value is, in words: `list of HitOut`, `one of look, video`, `number, at least 0`."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        kinds = [_kind(each) for each in schema["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "const" in schema:
        return f"always {schema['const']}"
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    if schema.get("type") == "object" and "properties" in schema:
        return f"form with {', '.join(schema['properties'])}"
    return _bounded(schema)


def _bounded(schema: Node) -> str:
    kind = str(schema.get("format", schema.get("type", "")))
    if "pattern" in schema and "examples" in schema:
        return f"{kind} like `{schema['examples'][0]}`"
    bounds = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "above"}
    told = [f"{words} {schema[key]:g}" for key, words in bounds.items() if key in schema]
    return ", ".join([kind, *told])
