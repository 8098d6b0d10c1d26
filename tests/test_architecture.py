"""The structure: who may import whom, no circles, and a page about it that is true of the tree."""

from __future__ import annotations

import ast
from pathlib import Path

import ssdnet

SOURCE = Path(ssdnet.__file__).parent


def module_name(path: Path) -> str:
    parts = ("ssdnet", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def statements(nodes):
    """All but what stands inside functions: doors that are opened late close no circle."""
    for node in nodes:
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from statements(ast.iter_child_nodes(node))


def graph() -> dict[str, set[str]]:
    """What each module imports of the package, for typing too."""
    paths = {module_name(path): path for path in SOURCE.rglob("*.py")}
    edges: dict[str, set[str]] = {}
    for name, path in paths.items():
        edges[name] = set()
        for node in statements(ast.parse(path.read_text(encoding="utf-8")).body):
            if isinstance(node, ast.Import):
                edges[name] |= {alias.name for alias in node.names} & paths.keys()
            elif isinstance(node, ast.ImportFrom) and node.module in paths:
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                edges[name] |= inside & paths.keys()
                if not inside <= paths.keys():
                    edges[name].add(node.module)
        edges[name].discard(name)
    return edges


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
            group = []
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
    edges = graph()
    assert sum(map(len, edges.values())) > 200
    # The root only names where its members live, for type checkers.
    del edges["ssdnet"]
    for others in edges.values():
        others.discard("ssdnet")
    assert circles(edges) == []
