"""The body of a search: JSON, or a form with a file beside it."""

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from kinoscope.errors import UsageError
from kinoscope.server.schema import SearchRequest

_FILES = ("image", "video")
_REF = {"$ref": "#/components/schemas/SearchRequest"}
_EXAMPLES = {
    "text": {"value": {"text": "a park", "not": ["a dog"], "k": 5}},
    "an edit": {"value": {"video": "3f9c2b7a3f9c2b7a3f9c2b7a3f9c2b7a@12-17", "edit": "at night"}},
    "filters": {"value": {"text": "snow", "filters": {"since": "2026-01-31", "name": "*.mov"}}},
}
ASK_EXAMPLES: dict[str, Any] = {
    "the library": {"value": {"question": "What does the fox do?", "find": "a fox", "k": 3}},
    "choices": {"value": {"question": "Is it day or night?", "choices": ["day", "night"]}},
    "a piece of a video": {
        "value": {"question": "Who comes in?", "video": "3f9c2b7a3f9c2b7a3f9c2b7a3f9c2b7a@12-17"}
    },
}
"""For OpenAPI: questions."""

SEARCH_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _REF, "examples": _EXAMPLES},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "query": {"type": "string", "description": "The JSON above, as text."},
                        "image": {"type": "string", "format": "binary"},
                        "video": {"type": "string", "format": "binary"},
                    },
                }
            },
        },
    }
}
"""For OpenAPI, which knows no route of two kinds of bodies."""


async def asked_of(request: Request) -> SearchRequest:
    """What a client asks; a file that comes with it is kept as an upload, and referred to.

    Raises `RequestValidationError` for another form, `UsageError` for too many files.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return _checked(await request.body())
    async with request.form(max_files=1, max_fields=2) as form:
        query = form.get("query", "{}")
        if isinstance(query, UploadFile):
            query = (await query.read()).decode("utf-8", "replace")
        kept = await _kept(request, form)
        return _checked(query, **kept)


async def _kept(request: Request, form: FormData) -> dict[str, str]:
    """`{"video": "upload-..."}`."""
    given = {name: form[name] for name in form if name != "query"}
    if not given:
        return {}
    ((name, file),) = given.items() if len(given) == 1 else (("", None),)
    if name not in _FILES or not isinstance(file, UploadFile):
        raise UsageError("a form has a part `query`, and a file as its part `image` or `video`")
    upload = await run_in_threadpool(request.app.state.service.uploads.add, file.file)
    return {name: upload.id}


def _checked(text: str | bytes, **kept: str) -> SearchRequest:
    try:
        asked = SearchRequest.model_validate_json(text)
        if not kept:
            return asked
        values = asked.model_dump(by_alias=True, exclude_unset=True)
        return SearchRequest.model_validate({**values, **kept})
    except ValidationError as error:
        where = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(where) from None
