"""A folder of a model that is written whole or not at all."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kinoscope.backbones.checkpoint_files import reason
from kinoscope.durable import flush
from kinoscope.errors import UsageError
from kinoscope.libraries import imported


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Gives a neighbouring folder to write to, and moves it into place, every byte on the disk.

    Raises `UsageError` for a folder that is not empty, and for a disk that refuses; what was
    written until then is gone.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} is there already: name a folder that is not, or is empty")
    refusals = (OSError, imported("safetensors").SafetensorError)
    place = folder.absolute()
    partial = place.with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        _move(partial, place)
    except refusals as error:
        raise UsageError(
            f"cannot write {folder} ({reason(error)}): free space there, or name another folder"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _move(partial: Path, folder: Path) -> None:
    for path in (*partial.rglob("*"), partial):
        flush(path)
    if folder.exists():
        folder.rmdir()
    partial.rename(folder)
    flush(folder.parent)
