"""Adapters as a person names them on the command line: by name, or by the path of a folder, with a scale behind @."""

from pathlib import Path

from inference.errors import AdapterError
from inference.trace.request import BASE_LABEL


def split_adapters(given: list[str]) -> tuple[list[str], tuple[Path, ...]]:
    """Labels for the request, and the folders that were named by path. A path's adapter is called as its folder is."""
    labels: list[str] = []
    folders: list[Path] = []
    for text in given:
        place, at, scale = text.rpartition("@")
        path = Path(place if at else text).expanduser()
        if path.is_dir():
            check_name(path.resolve())
            folders.append(path.resolve())
            labels.append(f"{path.resolve().name}{at}{scale if at else ''}")
        else:
            labels.append(text)
    return labels, tuple(folders)


def check_name(folder: Path) -> None:
    """Refuses an adapter's folder whose name could be read as something else in a label.

    Raises:
        AdapterError: it is called base, or holds a sign that joins adapters or begins a scale.
    """
    if folder.name == BASE_LABEL or set(folder.name) & set("+@"):
        raise AdapterError(
            "an adapter in a folder not called base and with neither + nor @ in its name",
            repr(folder.name),
            "rename the folder",
        )
