"""Finds circles in what refers to what."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["find_cycles"]

_MOST_REPORTED = 10


def find_cycles(graph: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Circles of a graph, no node in two of them, at most ten.

    Args:
        graph: per node the nodes it points to; nodes that are not keys are ignored.

    Returns:
        Each circle in the direction of its edges, its first node not repeated at the end.
    """
    edges = {
        node: [target for target in dict.fromkeys(targets) if target in graph]
        for node, targets in graph.items()
    }
    found: list[tuple[str, ...]] = []
    left = set(edges)
    while len(found) < _MOST_REPORTED:
        left = _without_ends(edges, left)
        if not left:
            break
        cycle = _follow(next(node for node in edges if node in left), edges, left)
        found.append(cycle)
        left = left - set(cycle)
    return found


def _without_ends(edges: Mapping[str, list[str]], left: set[str]) -> set[str]:
    """The nodes that remain when those from which nothing leads on are taken away."""
    left = set(left)
    sources: dict[str, list[str]] = {node: [] for node in left}
    open_edges: dict[str, int] = {}
    for node in left:
        targets = [target for target in edges[node] if target in left]
        open_edges[node] = len(targets)
        for target in targets:
            sources[target].append(node)
    ends = [node for node, count in open_edges.items() if count == 0]
    while ends:
        end = ends.pop()
        left.discard(end)
        for source in sources[end]:
            open_edges[source] -= 1
            if open_edges[source] == 0:
                ends.append(source)
    return left


def _follow(start: str, edges: Mapping[str, list[str]], left: set[str]) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    node = start
    while node not in seen:
        seen[node] = len(seen)
        node = next(target for target in edges[node] if target in left)
    path = list(seen)[seen[node] :]
    # The circle begins with its first node in the order of the file.
    order = {name: place for place, name in enumerate(edges)}
    first = min(range(len(path)), key=lambda index: order[path[index]])
    return tuple(path[first:] + path[:first])
