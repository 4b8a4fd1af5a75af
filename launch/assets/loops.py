"""Rings of vertices about the eyes' and the mouth's opening, found in a mesh of quadrilaterals by its texture's seams.

The skin's chart has a seam where a lid turns into the socket and where a lip turns into the inside of the mouth. That seam is
ring 0; every further ring is one vertex farther out, and its vertices are in step with those of ring 0.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

Graph = dict[int, set[int]]


def edges(faces: np.ndarray) -> set[frozenset[int]]:
    """The sides of faces [f, 4] of vertices."""
    return {frozenset(pair) for face in faces.tolist() for pair in zip(face, face[1:] + face[:1], strict=True)}


def graph(pairs: set[frozenset[int]]) -> Graph:
    """Vertices → the vertices that they share an edge with."""
    neighbours: Graph = defaultdict(set)
    for a, b in map(tuple, pairs):
        neighbours[a].add(b)
        neighbours[b].add(a)
    return neighbours


def walk(seam: Graph, first: int, second: int) -> list[int]:
    """The closed line of a seam from `first` by `second` back to before `first`."""
    line = [first, second]
    while True:
        (following,) = seam[line[-1]] - {line[-2]}
        if following == first:
            return line
        line.append(following)


def grow(neighbours: Graph, ring: list[int], taken: set[int]) -> np.ndarray:
    """Rings [k, n] outwards from a ring, off the vertices `taken`, as long as every vertex has one way out of its own."""
    rings, seen = [ring], taken | set(ring)
    while True:
        ways = [neighbours[vertex] - seen for vertex in rings[-1]]
        ring = [min(way) for way in ways if len(way) == 1]
        if len(set(ring)) < len(ways):
            return np.array(rings, np.int32)
        rings.append(ring)
        seen |= set(ring)


def opening(vertices: np.ndarray, faces: np.ndarray, inner: np.ndarray, side: int) -> np.ndarray:
    """Rings [k, n] of the opening between faces that are `inner` and those that are not.

    Side -1 and 1 are the openings left and right of the picture's middle, from the corner nearest to it; 0 is the one across
    it, from its corner left in the picture. All run over the upper lid or lip first.
    """
    seam = graph(edges(faces[inner]) & edges(faces[~inner]))
    members = [vertex for vertex in seam if side * vertices[vertex, 0] >= 0.0]
    first = min(members, key=lambda vertex: abs(vertices[vertex, 0]) if side else vertices[vertex, 0])
    second = max(seam[first], key=lambda vertex: vertices[vertex, 1])
    return grow(graph(edges(faces)), walk(seam, first, second), set(faces[inner].ravel().tolist()))
