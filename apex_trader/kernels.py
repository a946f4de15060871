"""Where numba keeps compiled kernels: one folder for each state of the kernels' sources.

numba's own cache looks at the file of the function alone, so a kernel would keep the old code of a
kernel that it calls in another file. Here the folder's name is a digest of all sources.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

#: Folders of older sources that are kept, newest first.
_KEPT = 3


def use_kernel_cache() -> None:
    """Point numba to this version's folder, unless NUMBA_CACHE_DIR is set or numba is loaded."""
    if "NUMBA_CACHE_DIR" in os.environ or "numba" in sys.modules:
        return
    root = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "apex-trader"
    folder = root / f"kernels-{_sources_digest()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        _prune(root)
    except OSError:
        return  # no writable home: numba keeps its cache beside the sources, or none
    os.environ["NUMBA_CACHE_DIR"] = str(folder)


def _sources_digest() -> str:
    digest = hashlib.blake2b(digest_size=8)
    packages = Path(__file__).resolve().parent, Path(__file__).resolve().parents[1] / "actors"
    for package in packages:
        for path in sorted(package.rglob("*.py")):
            source = path.read_bytes()
            if b"njit" in source:
                digest.update(str(path).encode() + source)
    return digest.hexdigest()


def _prune(root: Path) -> None:
    folders = sorted(root.glob("kernels-*"), key=lambda f: f.stat().st_mtime, reverse=True)
    for old in folders[_KEPT + 1 :]:
        shutil.rmtree(old, ignore_errors=True)
