"""An index folder out of nothing: what may lie there before, and empty tables."""

import shutil
from pathlib import Path

from kinoscope.durable import Flusher
from kinoscope.errors import IndexFault
from kinoscope.index import manifest, rows
from kinoscope.index.manifest import disk_faults
from kinoscope.types import EmbedderSpec

# what a creation that was killed may have left behind
_OWN_ENTRIES = {"clips.lance", "files.lance", manifest.COPY, manifest.LOCK, manifest.WRITER}


def require_vacant(folder: Path) -> None:
    """Raises `IndexFault` if a folder holds anything but the remains of a killed creation."""
    if folder.exists() and not folder.is_dir():
        raise IndexFault(f"{folder} is a file: choose a folder for the index")
    with disk_faults(folder):
        names = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    names = {name for name in names if not name.startswith(f".{manifest.MANIFEST}-")}  # a draft
    if manifest.MANIFEST in names:
        raise IndexFault(f"{folder} is an index already: open it, or choose another folder")
    foreign = names - _OWN_ENTRIES
    if foreign and manifest.COPY in names:
        raise IndexFault(manifest.without_manifest(folder))
    if foreign:
        raise IndexFault(f"{folder} is not empty ({min(foreign)}): choose another folder")


def create_tables(folder: Path, spec: EmbedderSpec) -> None:
    """Empty tables in place of whatever a killed creation left."""
    import lancedb

    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
    tables = lancedb.connect(folder)
    tables.create_table("clips", schema=rows.clip_schema(spec))
    tables.create_table("files", schema=rows.file_schema())
    Flusher(folder).flush()
