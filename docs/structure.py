"""The tables of docs/architecture.md, made from the sources.

python docs/structure.py          # says whether the page is true of the tree
python docs/structure.py --write  # brings it up to date
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "ssdnet"
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- made by docs/structure.py -->\n", "<!-- end -->\n"


def modules() -> dict[str, Path]:
    """All modules of the package by name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = ("ssdnet", *path.relative_to(SOURCE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _statements(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All but what stands inside functions: doors that are opened late close no circle."""
    for node in nodes:
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from _statements(ast.iter_child_nodes(node))


def imports() -> dict[str, set[str]]:
    """What each module imports of the package, for typing too."""
    paths = modules()
    edges: dict[str, set[str]] = {}
    for name, path in paths.items():
        edges[name] = set()
        for node in _statements(ast.parse(path.read_text(encoding="utf-8")).body):
            if isinstance(node, ast.Import):
                edges[name] |= {alias.name for alias in node.names} & paths.keys()
            elif isinstance(node, ast.ImportFrom) and node.module in paths:
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                edges[name] |= inside & paths.keys()
                if not inside <= paths.keys():
                    edges[name].add(node.module)
        edges[name].discard(name)
    return edges


def _purpose(path: Path) -> str:
    """First line of what a module says of itself."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def _room(name: str) -> str:
    return name.split(".")[1] if "." in name else name


def tables() -> str:
    """Rooms and what they take from each other, then a line for each module."""
    paths, edges = modules(), imports()
    rooms: dict[str, list[str]] = {}
    for name in paths:
        rooms.setdefault(_room(name), []).append(name)
    lines = ["## Rooms\n", "| room | what it is for | takes from |", "| --- | --- | --- |"]
    for room, names in rooms.items():
        if room in {"ssdnet", "__main__", "_version"}:
            continue
        taken = sorted(
            {_room(other) for name in names for other in edges[name]} - {room, "ssdnet", "_version"}
        )
        shown = f"{room}/" if len(names) > 1 else f"{room}.py"
        lines.append(f"| `{shown}` | {_purpose(paths[f'ssdnet.{room}'])} | {', '.join(taken)} |")
    lines.append("\n## Modules\n")
    for room, names in rooms.items():
        if len(names) == 1:
            continue
        lines += [f"### `{room}/`\n", "| module | what it is for |", "| --- | --- |"]
        for name in names[1:]:
            lines.append(f"| `{name.removeprefix(f'ssdnet.{room}.')}` | {_purpose(paths[name])} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def page() -> str:
    """The page as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return before + BEGIN + tables() + END + rest.partition(END)[2]


def main() -> int:
    """Compare or write."""
    wanted = page()
    if "--write" in sys.argv:
        PAGE.write_text(wanted, encoding="utf-8")
    elif wanted != PAGE.read_text(encoding="utf-8"):
        sys.stderr.write(f"{PAGE.name} is not what the sources say: python docs/structure.py --write\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
