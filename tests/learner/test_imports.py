"""The learner runs on a bare GPU machine: it asks for torch and numpy, not for the cluster."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import learner

ALLOWED = {"torch", "numpy", "apex_trader", "learner", "fsspec"}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_every_module_asks_only_for_torch_and_numpy() -> None:
    folder = Path(learner.__file__).parent
    modules = list(folder.glob("*.py"))
    assert modules
    for path in modules:
        others = imported(path) - ALLOWED - set(sys.stdlib_module_names)
        assert not others, f"{path.name} imports {others}"


def test_the_learner_starts_without_compiler_and_cluster() -> None:
    heavy = ("numba", "ray", "hydra", "wandb", "pyarrow", "sklearn", "pandas", "ccxt")
    code = (
        "import sys, learner.update, learner.arena, learner.publish, learner.checkpoint;"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
