"""A `Template` written into a checkpoint's own chat template, so that any program renders it."""

import json
import re
from collections.abc import Sequence

from kinoscope.prompts import Template
from kinoscope.types import Kind

_TEXT = "\ue000"  # stands for what the user wrote while a pattern is taken apart

_PREFIX = """\
{%- set said = namespace(messages=[], text='', media=[], medium='', parts=[]) -%}
{%- for message in messages -%}
{%- if message['role'] != 'user' -%}
{%- set said.messages = said.messages + [message] -%}
{%- else -%}
{%- set said.text = message['content'] if message['content'] is string else '' -%}
{%- set said.media = [] -%}
{%- for part in message['content'] if message['content'] is not string -%}
{%- if part['type'] in ['image', 'video'] -%}
{%- set said.media = said.media + [{'type': part['type']}] -%}
{%- set said.medium = part['type'] -%}
{%- else -%}
{%- set said.text = said.text ~ part['text'] -%}
{%- endif -%}
{%- endfor -%}
{%- for word in CONTROL_WORDS -%}
{%- set said.text = said.text | replace(word, word[0] ~ ' ' ~ word[1:]) -%}
{%- endfor -%}
{%- if not said.media -%}
{%- set said.parts = TEXT -%}
{%- elif said.medium == 'image' -%}
{%- set said.parts = COMPOSED_IMAGE if said.text else IMAGE -%}
{%- else -%}
{%- set said.parts = COMPOSED_VIDEO if said.text else VIDEO -%}
{%- endif -%}
{%- set said.messages = said.messages + [{'role': 'user', 'content': said.parts}] -%}
{%- endif -%}
{%- endfor -%}
{%- set messages = said.messages %}
"""
"""Puts each message of the user, a text or media in any order, into the words of a template.

A sandbox allows no change of lists, only new ones. The last line break belongs to its block: what
follows begins a line, as the start of a chat template does.
"""


def with_prompts(template: Template, chat_template: str, control_words: Sequence[str]) -> str:
    """A chat template that renders bare inputs as `chat_template` renders those of `template`.

    The system messages of `template` are not in it: who calls gives them.

    Args:
        template: how each kind of content is put.
        chat_template: the checkpoint's own, in Jinja.
        control_words: strings that no user may write; they are split as `MLLM` splits them.
    """
    expressions = {
        "CONTROL_WORDS": _literal(list(control_words)),
        "COMPOSED_IMAGE": _parts(template, "composed", "image"),
        "COMPOSED_VIDEO": _parts(template, "composed", "video"),
        "IMAGE": _parts(template, "image", "image"),
        "VIDEO": _parts(template, "video", "video"),
        "TEXT": _parts(template, "text", "video"),
    }
    names = re.compile("|".join(expressions))
    return names.sub(lambda found: expressions[found[0]], _PREFIX) + chat_template


def either(condition_medium: str, chosen: str, other: str) -> str:
    """A chat template that is `chosen` where a message has such a medium, else `other`."""
    return (
        "{%- set seen = namespace(it=false) -%}{%- for message in messages -%}"
        "{%- for part in message['content'] if message['content'] is not string -%}"
        f"{{%- if part['type'] == {_literal(condition_medium)} -%}}{{%- set seen.it = true -%}}"
        "{%- endif -%}{%- endfor -%}{%- endfor -%}"
        f"{{%- if seen.it %}}\n{_unended(chosen)}{{% else %}}\n{_unended(other)}{{% endif %}}"
    )


def replaced(chat_template: str, old: str, new: str) -> str:
    """A chat template that renders as this one does, but with `new` wherever `old` would stand."""
    return (
        f"{{%- set rendered %}}\n{_unended(chat_template)}{{% endset -%}}\n"
        f"{{{{- rendered | replace({_literal(old)}, {_literal(new)}) -}}}}"
    )


def _parts(template: Template, kind: Kind, medium: str) -> str:
    """The content of a message as a Jinja expression."""
    text = None if kind in ("image", "video") else _TEXT
    content = template.messages(kind, text, medium)[-1]["content"]
    lists = []
    for part in content:
        if part["type"] == medium:
            lists.append("said.media")
            continue
        pieces = [_literal(piece) for piece in part["text"].split(_TEXT)]
        words = " ~ said.text ~ ".join(pieces)
        lists.append(f"[{{'type': 'text', 'text': {words}}}]")
    return " + ".join(lists)


def _literal(value: object) -> str:
    """A constant as Jinja reads it: JSON, but for characters beyond ASCII, which stay."""
    return json.dumps(value, ensure_ascii=False)


def _unended(chat_template: str) -> str:
    """Without the last line break, which Jinja drops at the end of a template only."""
    return chat_template.removesuffix("\n")
