"""The documents are true: generated pages are fresh, code blocks run, figures come from results."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kinoscope.evaluation.results import load_result
from kinoscope.packages import cache_folder
from recipes import api_docs, write_docs

ROOT = Path(__file__).parents[1]


def python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)


def test_the_command_page_is_what_the_commands_print() -> None:
    assert (ROOT / "docs" / "cli.md").read_text() == write_docs.cli_page(), "run make docs"


def test_the_page_of_the_http_interface_is_what_the_server_says_of_itself() -> None:
    assert (ROOT / "docs" / "api.md").read_text() == api_docs.api_page(), "run make docs"


@pytest.mark.parametrize("name", write_docs.PAGES)
def test_figures_of_a_page_are_those_of_the_saved_results(name) -> None:
    page = (ROOT / name).read_text()
    assert write_docs.PAGES[name](page) == page, "run make docs"


def test_the_readme_names_the_command_of_every_figure() -> None:
    readme = (ROOT / "README.md").read_text()
    assert readme.count("python -m recipes.") >= len(write_docs.FIGURES)


def test_every_saved_result_names_the_recipe_that_writes_it() -> None:
    paths = sorted((ROOT / "results").glob("*.json"))
    assert {path.stem for path in paths} >= {name for _, name, _, _ in write_docs.FIGURES}
    for path in paths:
        result = load_result(path.stem, folder=path.parent)  # also checks every interval
        assert result.command == f"python -m recipes.{path.stem}"
        assert (ROOT / "recipes" / f"{path.stem}.py").exists()
        assert re.fullmatch(r"[0-9a-f]{7,40}", result.commit), f"{path.stem}: {result.commit}"


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md", "docs/thinking.md"])
def test_python_blocks_run_as_a_newcomer_would_run_them(page: str, tmp_path, video_folder) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "Videos").symlink_to(video_folder)
    blocks = python_blocks(page)
    assert blocks
    for block in blocks:
        done = subprocess.run(
            [sys.executable, "-c", block],
            cwd=tmp_path,
            env={**os.environ, "HOME": str(home), "KINOSCOPE_CACHE": str(cache_folder())},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert ".mp4" in done.stdout


@pytest.mark.parametrize("page", [p.name for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]])
def test_links_between_documents_lead_somewhere(page: str) -> None:
    path = next(p for p in [ROOT / page, ROOT / "docs" / page] if p.exists())
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_make_targets_and_commands_named_in_documents_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    pages = [p.read_text() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]]
    for target in {t for page in pages for t in re.findall(r"(?:^|`)make ([a-z]+)\b", page, re.M)}:
        assert re.search(rf"^{target}\s*:", makefile, flags=re.M), f"make {target}"
    commands = {c for page in pages for c in re.findall(r"`kinoscope ([a-z]+)", page)}
    assert commands <= set(write_docs.COMMANDS) | {"is"}
