"""The structure: no circle of imports, and a page about it that is true of the tree."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "docs" / "structure.py"
spec = importlib.util.spec_from_file_location("structure", SCRIPT)
assert spec is not None
assert spec.loader is not None
structure = importlib.util.module_from_spec(spec)
spec.loader.exec_module(structure)


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in edges[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group: list[str] = []
            while not group or group[-1] != name:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for name in edges:
        if name not in index:
            visit(name)
    return found


def test_a_circle_would_be_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_no_module_imports_itself_in_a_circle():
    edges = structure.imports()
    assert sum(map(len, edges.values())) > 200
    # The root only names where its members live, for type checkers.
    del edges["ssdnet"]
    for others in edges.values():
        others.discard("ssdnet")
    assert circles(edges) == []


def test_the_page_is_true_of_the_tree():
    assert structure.page() == structure.PAGE.read_text(encoding="utf-8"), (
        "python docs/structure.py --write brings docs/architecture.md up to date"
    )


def test_mathematics_knows_no_image_file_and_no_detector():
    for name, others in structure.imports().items():
        if name.startswith("ssdnet.maths"):
            assert {other.split(".")[1] for other in others} <= {"maths", "progress"}, name
