"""The public names of every module, beside those that were agreed on: none comes or goes unnoticed.

After a change that is meant, write them anew and look at the difference:

    python tests/test_api_surface.py --write
"""

from __future__ import annotations

import ast
import importlib
import json
import sys
from pathlib import Path

import ssdnet

SOURCE = Path(ssdnet.__file__).parent
SNAPSHOT = Path(__file__).with_name("api_surface.json")


def public_names(tree: ast.Module) -> list[str]:
    """What the source of a module defines without an underscore, and what it lists in `__all__`.

    What it imports belongs to the module that defines it, unless `__all__` offers it here too.
    """
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                stored = (part for part in ast.walk(target) if isinstance(part, ast.Name))
                names |= {part.id for part in stored if isinstance(part.ctx, ast.Store)}
                if isinstance(target, ast.Name) and target.id == "__all__" and node.value is not None:
                    names |= set(ast.literal_eval(node.value))
    return sorted(name for name in names if not name.startswith("_"))


def surface() -> dict[str, list[str]]:
    """The names of all modules that have some; a module whose own name begins with `_` is not public."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        names = public_names(ast.parse(path.read_text(encoding="utf-8")))
        if names and not any(part.startswith("_") for part in parts):
            found[".".join(parts)] = names
    return found


def differences(before: dict[str, list[str]], now: dict[str, list[str]]) -> list[str]:
    """A line for each module that has gained or lost a name: `- module.name` or `+ module.name`."""
    old, new = ({f"{module}.{name}" for module in each for name in each[module]} for each in (before, now))
    return [f"- {name}" for name in sorted(old - new)] + [f"+ {name}" for name in sorted(new - old)]


def test_the_public_names_are_those_agreed_on() -> None:
    found = differences(json.loads(SNAPSHOT.read_text(encoding="utf-8")), surface())
    assert not found, "\n".join(
        [
            "public names have changed:",
            *found,
            "if that is meant, say so in CHANGELOG.md and run: python tests/test_api_surface.py --write",
        ]
    )


def test_each_public_name_is_there() -> None:
    for module, names in surface().items():
        loaded = importlib.import_module(module)
        assert [name for name in names if not hasattr(loaded, name)] == [], module


def test_a_change_would_be_found() -> None:
    source = """
import os
from pathlib import Path as Road
__all__ = ["Road", "late"]
LIMIT: float = 3.0
LOW, _HIGH = 1, 2
_TABLE[len(_TABLE) // 2] = 0
def late(): ...
class Thing:
    inner = 1
def _own(): ...
"""
    names = public_names(ast.parse(source))
    assert names == ["LIMIT", "LOW", "Road", "Thing", "late"]
    assert differences({"m": names}, {"m": names[1:], "n": ["new"]}) == ["- m.LIMIT", "+ n.new"]
    assert differences({"m": names}, {"m": names}) == []


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        raise SystemExit(__doc__)
    SNAPSHOT.write_text(json.dumps(surface(), indent=1) + "\n", encoding="utf-8")
