"""How large files and folders on disk are, and when they were last used; what goes meanwhile counts nothing."""

from pathlib import Path


def size_on_disk(*places: Path) -> int:
    """Bytes of files, and of the files right in folders."""
    size = 0
    for place in places:
        try:
            size += sum(path.stat().st_size for path in place.iterdir()) if place.is_dir() else place.stat().st_size
        except FileNotFoundError:
            continue
    return size


def used_at(path: Path) -> float:
    """When a file was last written, or a folder last touched, in seconds since the epoch; 0 if it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def written_at(folder: Path) -> float:
    """When a folder or a file in it was last changed, in seconds since the epoch; 0 if it is gone."""
    try:
        return max(map(used_at, [folder, *folder.iterdir()]))
    except FileNotFoundError:
        return 0.0
