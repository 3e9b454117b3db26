"""The house rules, checked: sizes, names, one-way imports, true file map, lazy imports."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "kinoscope").rglob("*.py"))
ALL_PYTHON = [
    *SOURCES,
    *sorted((ROOT / "recipes").glob("*.py")),
    *sorted((ROOT / "tests").rglob("*.py")),
]
LAYERS = [
    "errors",
    "durable",
    "clock",
    "addresses",
    "types",
    "sampling",
    "video",
    "prompts",
    "packages",
    "libraries",
    "runtime",
    "converted",
    "weights",
    "mini_weights",
    "batching",
    "backbones",
    "heads",
    "thinking",
    "streaming",
    "documents",
    "clips",
    "reading",
    "embedder",
    "compact",
    "index",
    "scale",
    "usual",
    "query",
    "exclusion",
    "filters",
    "retrieval",
    "grouping",
    "calibration",
    "matcher",
    "spans",
    "moments",
    "answer",
    "sheets",
    "interop",
    "samples",
    "cutting",
    "agents",
    "doctor",
    "costs",
    "training",
    "evaluation",
    "server",
    "cli",
]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", ALL_PYTHON, ids=relative)
def test_files_and_functions_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400, "split this file"
    long = [f.name for f in functions(path) if f.end_lineno - f.lineno + 1 > 60]
    assert not long, f"functions over 60 lines: {long}"


def is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A command's parameters are its flags: a person sees them one by one, in any order."""
    return any("app.command" in ast.unparse(decorator) for decorator in function.decorator_list)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_functions_take_at_most_six_arguments(path: Path) -> None:
    for function in functions(path):
        given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        names = [a.arg for a in given if a.arg not in ("self", "cls")]
        assert len(names) <= 6 or is_command(function), f"{function.name} takes {len(names)}"


@pytest.mark.parametrize("path", ALL_PYTHON, ids=relative)
def test_every_module_opens_with_what_it_is_for(path: Path) -> None:
    doc = ast.get_docstring(ast.parse(path.read_text()))
    assert doc, "no module docstring"
    assert doc.splitlines()[0].rstrip().endswith((".", ":")), "the first line is a sentence"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_blanket_except_no_stub_no_vague_name(path: Path) -> None:
    text = path.read_text()
    assert path.name not in ("utils.py", "helpers.py", "misc.py", "common.py")
    assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            name = getattr(node.type, "id", None)
            assert node.type is not None and name not in ("Exception", "BaseException")


def layer(path: Path) -> str:
    return path.relative_to(ROOT / "src" / "kinoscope").parts[0].removesuffix(".py")


def imported_layers(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {n.split(".")[1] for n in names if n.startswith("kinoscope.")}
    return found


@pytest.mark.parametrize("path", [p for p in SOURCES if not p.name.startswith("__")], ids=relative)
def test_imports_go_one_way(path: Path) -> None:
    mine = layer(path)
    assert mine in LAYERS, f"add {mine} to the layers here and in docs/design.md"
    upward = {other for other in imported_layers(path) if LAYERS.index(other) > LAYERS.index(mine)}
    assert not upward, f"{mine} imports {upward}, which come later in the flow"


def test_layers_are_those_of_the_design_page() -> None:
    page = (ROOT / "docs" / "design.md").read_text()
    block = page.split("## Layers")[1].split("```")[1]
    assert block.split() == LAYERS


def test_the_file_map_names_every_module_and_nothing_else() -> None:
    readme = (ROOT / "README.md").read_text()
    block = readme.split("## File map")[1].split("```")[1]
    named = set(re.findall(r"^\s*([\w/]+\.py)\b", block, flags=re.M))
    real = {
        str(p.relative_to(ROOT / "src" / "kinoscope")) for p in SOURCES if p.name != "__init__.py"
    }
    assert named == real, f"only in README: {named - real}; missing there: {real - named}"


@pytest.mark.parametrize(
    ("statement", "banned"),
    [
        ("import kinoscope", ["torch", "lancedb", "onnxruntime", "av", "numpy"]),
        ("import kinoscope.cli", ["torch", "lancedb", "onnxruntime", "av", "numpy"]),
        ("import kinoscope.embedder, kinoscope.retrieval", ["torch", "transformers", "lancedb"]),
    ],
)
def test_heavy_libraries_load_only_when_needed(statement: str, banned: list[str]) -> None:
    program = f"import sys; {statement}; print(*[m for m in {banned} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_the_project_does_not_name_a_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    names = [
        n for n in listed.split("\0") if n.endswith((".py", ".md", ".toml", ".json", "Makefile"))
    ]
    pattern = re.compile(r"/(?:root|home|tmp|opt|work)/[\w.]+/")
    named = [n for n in names if (ROOT / n).exists() and pattern.search((ROOT / n).read_text())]
    assert not named
