"""Which prompt describes which clip: explicit rules over the workflow files that made them."""

import re
from collections.abc import Iterable, Iterator, Mapping

MIN_PROMPT_CHARS = 40

_QUOTED = re.compile(r'^"([^"]*)"$')
_EDIT = re.compile(r"(keep|replace|change|remove|you are)\b", flags=re.IGNORECASE)


def choose_prompts(
    takes: Mapping[str, int], workflows: Mapping[str, object]
) -> dict[str, tuple[str | None, str]]:
    """For each clip name its prompt, or None, and the rule that decided.

    `takes` counts the moving clips of a workflow, `workflows` holds the parsed JSON. In order:

    * `no workflow`: there is no workflow of that name.
    * `input and output`: two moving clips show an edit, and nothing says which one is described.
    * `no text`: no node holds a prompt (see `prompt_texts`).
    * `edit instruction`: a text orders a change of another clip, and so does not describe this one.
    * `repeated prompt`: an earlier name has the same prompt; one clip a prompt is kept.
    * `described`: the first text is the prompt.

    By the texts alone: no pair is picked or dropped by hand or by what retrieval makes of it.
    """
    chosen: dict[str, tuple[str | None, str]] = {}
    used: set[str] = set()
    for name in sorted(takes):
        texts = prompt_texts(workflows.get(name))
        rule = _objection(takes[name], name in workflows, texts)
        if rule is None and texts[0] in used:
            rule = "repeated prompt"
        if rule is None:
            used.add(texts[0])
        chosen[name] = (None, rule) if rule else (texts[0], "described")
    return chosen


def _objection(takes: int, has_workflow: bool, texts: list[str]) -> str | None:
    reasons = (
        (not has_workflow, "no workflow"),
        (takes > 1, "input and output"),
        (not texts, "no text"),
        (any(_EDIT.match(text) for text in texts), "edit instruction"),
    )
    return next((rule for holds, rule in reasons if holds), None)


def prompt_texts(workflow: object) -> list[str]:
    """Texts in a workflow's nodes that read like a prompt, in order, each once.

    A prompt has 40 characters or more, spaces, and mostly plain letters, so file names, number
    lists, JSON and Chinese fall out. Notes, and nodes that are titled or wired as negative
    prompts, are not read.
    """
    texts = (
        _QUOTED.sub(r"\1", " ".join(text.split()))
        for graph in _graphs(workflow)
        for node in _positive_nodes(graph)
        for text in _widget_texts(node)
    )
    return list(dict.fromkeys(text for text in texts if _reads_like_prompt(text)))


def _reads_like_prompt(text: str) -> bool:
    plain = sum(char.isascii() and (char.isalpha() or char == " ") for char in text)
    return len(text) >= MIN_PROMPT_CHARS and " " in text and plain >= 0.8 * len(text)


def _graphs(workflow: object) -> Iterator[Mapping[str, object]]:
    """The workflow itself and its subgraphs; link numbers are unique only within one of them."""
    if isinstance(workflow, dict):
        yield workflow
        inner = workflow.get("definitions")
        yield from _dicts(inner.get("subgraphs") if isinstance(inner, dict) else None)


def _positive_nodes(graph: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Nodes that are no notes, nor titled or wired as the negative side."""
    nodes = list(_dicts(graph.get("nodes")))
    inputs = (entry for node in nodes for entry in _dicts(node.get("inputs")))
    negative = {str(entry.get("link")) for entry in inputs if entry.get("name") == "negative"}
    for node in nodes:
        outputs = _dicts(node.get("outputs"))
        links = {str(link) for entry in outputs for link in _list(entry.get("links"))}
        note = "Note" in str(node.get("type"))
        if not note and "negative" not in str(node.get("title")).lower() and not links & negative:
            yield node


def _widget_texts(node: Mapping[str, object]) -> Iterable[str]:
    widgets = node.get("widgets_values")
    values = widgets.values() if isinstance(widgets, dict) else _list(widgets)
    return (text for text in values if isinstance(text, str))


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _dicts(value: object) -> Iterator[dict[str, object]]:
    return (entry for entry in _list(value) if isinstance(entry, dict))
