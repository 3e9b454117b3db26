"""How long a model thinks before it gives a vector, said once for the spec, files and people."""

import math
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from kinoscope.errors import UsageError
from kinoscope.types import Role

StepSource = Literal["text", "latent"]
StopRule = Literal["eos", "halt", "converged", "fixed"]
Reason = Literal["eos", "halt", "converged", "fixed", "cap"]
"""What ended a row: its rule, or the most steps that it may take before the rule has spoken."""

MOST_STEPS = 1024
MOST_TOP = 4096

_WRITTEN = re.compile(r"(?:(\w+):)?([a-z]+)(?:=([\w.+-]+))?(?::(\w+))?")
_DESCRIBED = re.compile(
    r"(text|latent)(?: of (\d+))?, (\w+)(?: (?:at|to) ([\d.e-]+))?(?:, at most (\d+))?"
)
_VALUES = {"halt": "threshold", "converged": "epsilon"}


@dataclass(frozen=True, kw_only=True)
class ThinkConfig:
    """One side's steps.

    Attributes:
        source: what a step reads: the likeliest word (`text`), or a mixture of words (`latent`).
        rule: what ends a row: the end of its text (`eos`), a learned decision (`halt`), a vector
            that changes no more (`converged`), or nothing but `max_steps` (`fixed`).
        max_steps: most thoughts K of a row; the prompt's last state is the first.
        top: likeliest words in the mixture of a latent step.
        epsilon: `converged` is when 1 - cos(z_k, z_(k-1)) is below this.
        threshold: `halt` is when the probability to have halted reaches this.
    """

    source: StepSource = "latent"
    rule: StopRule = "fixed"
    max_steps: int = 8
    top: int = 100
    epsilon: float = 0.01
    threshold: float = 0.5

    def __post_init__(self) -> None:
        for name, allowed in (("source", StepSource), ("rule", StopRule)):
            if getattr(self, name) not in get_args(allowed):
                choices = ", ".join(get_args(allowed))
                raise UsageError(f"thinking {name} {getattr(self, name)!r}: choose {choices}")
        for name, most in (("max_steps", MOST_STEPS), ("top", MOST_TOP)):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise UsageError(f"thinking {name} {value!r}: choose 1..{most}")
        _check_share("epsilon", self.epsilon)
        _check_share("threshold", self.threshold)
        if self.rule == "eos" and self.source != "text":
            raise UsageError(
                "thinking rule 'eos' with latent steps, which have no end of text: choose the"
                " source text, or the rule halt, converged or fixed"
            )

    def describe(self) -> str:
        """For the spec, such as `latent, halt at 0.5, at most 8`."""
        top = "" if self.top == 100 or self.source == "text" else f" of {self.top}"
        if self.rule == "fixed":
            return f"{self.source}{top}, fixed at {self.max_steps}"
        said = {
            "halt": f"halt at {self.threshold}",
            "converged": f"converged to {self.epsilon}",
        }
        return f"{self.source}{top}, {said.get(self.rule, self.rule)}, at most {self.max_steps}"

    @classmethod
    def from_dict(cls, values: object) -> "ThinkConfig":
        """The reverse of `asdict`; raises `UsageError` on missing, foreign or wrong fields."""
        expected = {known.name for known in fields(cls)}
        if not isinstance(values, dict) or set(values) != expected:
            raise UsageError(f"thinking {values!r}: give the fields {sorted(expected)}")
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Thinking:
    """Steps of both sides of a search. A side of None gives its vector after the prompt alone."""

    query: ThinkConfig | None = None
    document: ThinkConfig | None = None

    @classmethod
    def both(cls, config: ThinkConfig | None) -> "Thinking":
        """The same on both sides."""
        return cls(query=config, document=config)

    @classmethod
    def parse(cls, text: str, *, max_steps: int | None = None) -> "Thinking":
        """Of a command line: `latent:halt:8` for both sides, `none,latent:halt:8` for each its own.

        The query's comes first; `max_steps` is for what names no number itself.
        Raises `UsageError` as `parse_thinking`.
        """
        sides = text.split(",")
        if len(sides) > 2:
            raise UsageError(f"thinking {text!r}: give one rule, or QUERY,DOCUMENT")
        configs = [parse_thinking(side.strip(), max_steps=max_steps) for side in sides]
        return cls(query=configs[0], document=configs[-1])

    @classmethod
    def described(cls, text: str) -> "Thinking":
        """The reverse of `describe`, whatever a spec has learned behind it.

        Raises `UsageError` for a text that no version wrote.
        """
        said = text.partition("; learned ")[0]
        apart = re.fullmatch(r"query (.+); document (.+)", said)
        query, document = apart.groups() if apart else (said, said)
        return cls(query=_described(query), document=_described(document))

    def __bool__(self) -> bool:
        """Whether any side takes steps."""
        return self.query is not None or self.document is not None

    def of(self, role: Role) -> ThinkConfig | None:
        """The steps of a side."""
        return self.query if role == "query" else self.document

    def describe(self) -> str:
        """For the spec: `latent, fixed at 4`, or `query none; document latent, fixed at 4`."""
        query, document = ("none" if c is None else c.describe() for c in self._sides)
        return query if query == document else f"query {query}; document {document}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        query, document = (None if config is None else asdict(config) for config in self._sides)
        return {"query": query, "document": document}

    @classmethod
    def from_dict(cls, values: object) -> "Thinking":
        """The reverse of `as_dict`; raises `UsageError` for anything else."""
        if not isinstance(values, dict) or set(values) != {"query", "document"}:
            raise UsageError(f"thinking {values!r}: give the fields query and document")
        sides = {
            side: None if config is None else ThinkConfig.from_dict(config)
            for side, config in values.items()
        }
        return cls(**sides)

    @property
    def _sides(self) -> tuple[ThinkConfig | None, ThinkConfig | None]:
        return self.query, self.document


def parse_thinking(text: str, *, max_steps: int | None = None) -> ThinkConfig | None:
    """`[SOURCE:]RULE[=VALUE][:STEPS]`, such as `halt`, `text:eos:64`, `latent:converged=0.02:8`.

    `none` is None. Steps are latent but for `eos`. `max_steps` is for a text without STEPS.
    Raises `UsageError` for any other text, and for values that do not fit.
    """
    if text == "none":
        return None
    found = _WRITTEN.fullmatch(text)
    if not found:
        raise UsageError(
            f"thinking {text!r}: give none or [text:|latent:]RULE[:STEPS] with a rule of"
            f" {', '.join(get_args(StopRule))}"
        )
    source, rule, value, steps = found.groups()
    given: dict[str, Any] = {
        "source": source or ("text" if rule == "eos" else "latent"),
        "rule": rule,
    }
    if value is not None:
        if rule not in _VALUES:
            raise UsageError(f"thinking {text!r}: only {' and '.join(_VALUES)} take a value")
        given[_VALUES[rule]] = _number(text, value, float)
    if steps is not None:
        given["max_steps"] = _number(text, steps, int)
    elif max_steps is not None:
        given["max_steps"] = max_steps
    return ThinkConfig(**given)


def _described(text: str) -> ThinkConfig | None:
    """The reverse of `ThinkConfig.describe`, or of `none`."""
    if text == "none":
        return None
    found = _DESCRIBED.fullmatch(text)
    if found:
        source, top, rule, value, most = found.groups()
        given: dict[str, Any] = {"source": source, "rule": rule}
        steps = value if rule == "fixed" else most
        if rule in _VALUES and value is not None:
            given[_VALUES[rule]] = _number(text, value, float)
        for name, number in (("max_steps", steps), ("top", top)):
            if number is not None:
                given[name] = _number(text, number, int)
        config = ThinkConfig(**given)
        if config.describe() == text:
            return config
    raise UsageError(f"thinking {text!r} is none that this version knows")


def _number(text: str, value: str, kind: type) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise UsageError(f"thinking {text!r}: {value!r} is no number") from None


def _check_share(name: str, value: object) -> None:
    good = type(value) in (int, float) and math.isfinite(value) and 0 < value <= 1  # type: ignore[arg-type, operator]
    if not good:
        raise UsageError(f"thinking {name} {value!r}: choose a number above 0, at most 1")
