# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the bars of a song into groups of like ones, given how far each is from each.

By spectral clustering (McFee and Ellis, "Analyzing Song Structure with Spectral Clustering", 2014): a graph of what
repeats and a graph of what follows are joined; the eigenvectors of its Laplacian that belong to the smallest
eigenvalues place bars of one group close together.

Or by novelty (Foote, "Automatic Audio Segmentation Using a Measure of Audio Novelty", 2000): a boundary is where a
checkerboard fits best that is moved along the diagonal of the matrix of likeness.
"""

from collections.abc import Sequence

import numpy as np
from scipy import linalg, ndimage
from scipy.spatial.distance import cdist

MOST_KINDS = 8
"""Groups that are tried at most. Popular songs have three to six."""

STARTS, ROUNDS = 8, 50
"""Of k-means: the best of so many starts, each improved so often."""

CLEAR_COMMUNITIES = 0.3
"""Modularity from which a graph falls into groups (Newman and Girvan, 2004, find 0.3 to 0.7 in graphs that do)."""

CLEAR_CLUSTERS = 0.25
"""Silhouette from which points lie in clusters (Kaufman and Rousseeuw, 1990, see no structure in less)."""

AS_GOOD = 0.02
"""Share of links that more groups must keep inside than fewer do; with less, the fewer are preferred."""

TINY = 1e-9


def laplacian_labels(distance: np.ndarray, change: np.ndarray, kinds: int | None, shortest: int) -> np.ndarray:
    """Label bars by spectral clustering.

    Parameters
    ----------
    distance
        Square of how unlike two bars are: [bars, bars].
    change
        Square of how much the sound changes from each bar to the next: [bars - 1].
    kinds
        Number of groups; none: the number at which a bar is most at home in its own group.
    shortest
        Fewest bars that have one label before and behind which there are others.

    Returns
    -------
    numpy.ndarray
        int64 [bars]; all zero where the bars fall into no groups.
    """
    count = len(distance)
    most = min(MOST_KINDS if kinds is None else kinds + 2, count // shortest, count - 1)
    if most < 2:
        return np.zeros(count, np.int64)
    repeats, joined = _graphs(distance, change, shortest)
    places = _eigenvectors(joined, most)
    tries = {}
    for tried in range(2, most + 1):
        place = places[:, :tried]
        place = place / np.maximum(np.linalg.norm(place, axis=1, keepdims=True), TINY)
        centres = _k_means(place, tried)
        tries[tried] = best_runs(cdist(place, centres, "sqeuclidean"), shortest)
    if kinds is not None:  # short runs that had to go may have taken a kind with them
        return min(tries.values(), key=lambda labels: abs(len(np.unique(labels)) - kinds))
    return _clearest([np.zeros(count, np.int64), *tries.values()], distance, repeats, joined)


def novelty_labels(distance: np.ndarray, change: np.ndarray, kinds: int | None, shortest: int) -> np.ndarray:
    """Label bars by the boundaries that novelty shows, and these sections by how like they are.

    Sections side by side stay apart, as novelty has shown that they differ, as long as ``kinds`` allows.

    Parameters and result are those of ``laplacian_labels``.
    """
    count = len(distance)
    if count < 2 * shortest:
        return np.zeros(count, np.int64)
    edges = _novelty_edges(distance, shortest)
    section = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    tries = [groups[section] for groups in _joined_step_by_step(distance, edges)]
    if kinds is not None:
        return min(tries, key=lambda labels: abs(int(labels.max()) + 1 - kinds))
    few = [labels for labels in tries if labels.max() < MOST_KINDS]
    return _clearest(few, distance, *_graphs(distance, change, shortest))


def best_runs(cost: np.ndarray, shortest: int) -> np.ndarray:
    """Give each bar a label so that the labels cost least and each lasts for ``shortest`` bars; by dynamic programming.

    Parameters
    ----------
    cost
        Of each label in each bar: [bars, labels].
    shortest
        Bars; at most as many as there are.

    Returns
    -------
    numpy.ndarray
        int64 [bars].
    """
    count, labels = cost.shape
    total = np.concatenate([np.zeros((1, labels)), np.cumsum(cost, axis=0)])
    best = np.full((count + 1, labels), np.inf)  # of the first bars, where the last of them has this label
    start = np.zeros((count + 1, labels), np.int64)  # of the run that ends there
    for end in range(shortest, count + 1):
        best[end], start[end] = best[end - 1] + cost[end - 1], start[end - 1]
        begin = end - shortest
        before = np.zeros(labels) if begin == 0 else _best_of_others(best[begin])
        fresh = before + total[end] - total[begin]
        is_fresh = fresh < best[end]
        best[end, is_fresh], start[end, is_fresh] = fresh[is_fresh], begin
    found = np.zeros(count, np.int64)
    end, options = count, best[count]
    while end > 0:
        label = int(np.argmin(options))
        begin = int(start[end, label])
        found[begin:end] = label
        end, options = begin, best[begin].copy()
        options[label] = np.inf
    return found


def settle(distance: np.ndarray, labels: np.ndarray, shortest: int) -> np.ndarray:
    """Move each boundary by a bar where that brings the bars beside it to the group of the bar most like them.

    Majorities blur by a bar where a group ends; the bars themselves do not. They are compared with bars inside of
    sections only: what they have in common with other first and last bars is a crash or a fill.
    """
    edges = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1, [len(labels)]])
    inside = np.ones(len(labels), dtype=bool)
    inside[edges[:-1]] = inside[edges[1:] - 1] = False
    settled = edges.copy()
    for place in range(1, len(edges) - 1):
        edge = int(edges[place])
        costs = {0: 0.0}
        for move, bar, beyond in ((-1, edge - 1, edge), (1, edge, edge - 1)):
            own, other = labels[bar], labels[beyond]
            to_own, to_other = distance[bar, inside & (labels == own)], distance[bar, inside & (labels == other)]
            if len(to_own) and len(to_other):
                costs[move] = float(to_other.min() - to_own.min())
        move = min(costs, key=lambda move: costs[move])
        if edge + move - settled[place - 1] >= shortest and edges[place + 1] - edge - move >= shortest:
            settled[place] = edge + move
    return np.repeat(labels[edges[:-1]], np.diff(settled))


def silhouette(distance: np.ndarray, labels: np.ndarray) -> float:
    """How much closer bars are to their own group than to the next one, -1 to 1 (Rousseeuw 1987); 0 for one group."""
    names, own = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        return 0.0
    rows = np.arange(len(labels))
    own = own.reshape(-1)
    member = (own[:, None] == np.arange(len(names))).astype(np.float64)
    others = member.sum(axis=0) - member
    mean = np.sqrt(distance) @ member / np.maximum(others, 1.0)
    inside = mean[rows, own]
    mean[rows, own] = np.inf
    nearest = mean.min(axis=1)
    return float(np.mean((nearest - inside) / np.maximum(np.maximum(nearest, inside), TINY)))


def _clearest(tries: Sequence[np.ndarray], distance: np.ndarray, repeats: np.ndarray, joined: np.ndarray) -> np.ndarray:
    """Of several ways to label bars, the one that leaves them most at home; all zero where none shows clear groups."""
    clear = [
        labels
        for labels in tries
        if _modularity(repeats, labels) >= CLEAR_COMMUNITIES or silhouette(distance, labels) >= CLEAR_CLUSTERS
    ]
    if not clear:
        return np.zeros(len(distance), np.int64)
    homes = [_at_home(joined, labels) for labels in clear]
    good = [labels for labels, home in zip(clear, homes, strict=True) if home >= max(homes) - AS_GOOD]
    return min(good, key=lambda labels: len(np.unique(labels)))


def _graphs(distance: np.ndarray, change: np.ndarray, shortest: int) -> tuple[np.ndarray, np.ndarray]:
    """The graph of what repeats, and that joined with the graph of what follows: float64 [bars, bars] each."""
    repeats = _repetitions(distance, shortest)
    return repeats, _balance(repeats, _sequence(change))


def _joined_step_by_step(distance: np.ndarray, edges: np.ndarray) -> list[np.ndarray]:
    """Join the two groups of sections whose bars are on average most alike, until one is left; neighbours last.

    Returns
    -------
    list
        After each step the group of each section, counted from 0: int64 [sections].
    """
    total = np.add.reduceat(np.add.reduceat(distance, edges[:-1], axis=0), edges[:-1], axis=1)
    size = np.diff(edges).astype(np.float64)
    far = 1.0 + float(distance.max())
    touches = np.eye(len(size), k=1) + np.eye(len(size), k=-1) > 0
    group = np.arange(len(size))
    steps = [group]
    while len(size) > 1:
        between = total / (size[:, None] * size[None, :]) + far * touches
        between[np.tril_indices(len(size))] = np.inf
        first, second = (int(place) for place in np.unravel_index(int(np.argmin(between)), between.shape))
        for table in (total, touches):
            table[first] += table[second]
            table[:, first] += table[:, second]
        size[first] += size[second]
        total, touches = (np.delete(np.delete(table, second, axis=0), second, axis=1) for table in (total, touches))
        size = np.delete(size, second)
        group = np.where(group == second, first, group)
        group = group - (group > second)
        steps.append(group)
    return steps


def _repetitions(distance: np.ndarray, shortest: int) -> np.ndarray:
    """Link bars that are among each other's nearest, and whose neighbours are so too: float64 [bars, bars].

    A majority along each diagonal, over the length of the shortest section, leaves only what repeats in sequence.
    """
    count = len(distance)
    near = np.where(np.eye(count, dtype=bool), np.inf, distance)
    nearest = min(max(1, round(np.sqrt(count))), count - 1)
    reach = np.partition(near, nearest - 1, axis=1)[:, nearest - 1]
    linked = (near <= reach[:, None]) & (near <= reach[None, :])
    span = 2 * (shortest // 2) + 1
    padded = np.pad(linked, span // 2).astype(np.uint8)
    along = sum(padded[step : step + count, step : step + count].astype(np.uint16) for step in range(span))
    linked = np.asarray(along) > span // 2
    np.fill_diagonal(linked, False)
    # each bar's distances are measured by its own reach (Zelnik-Manor and Perona 2004): loud and soft parts alike
    scale = np.sqrt(np.maximum(reach, TINY))
    return np.where(linked, np.exp(-distance / (scale[:, None] * scale[None, :])), 0.0)


def _sequence(change: np.ndarray) -> np.ndarray:
    """Link each bar to the next, the less the more the sound changes between: float64 [bars, bars]."""
    weight = np.exp(-change / (np.median(change) + TINY))
    return np.diag(weight, 1) + np.diag(weight, -1)


def _balance(repeats: np.ndarray, follows: np.ndarray) -> np.ndarray:
    """Join both graphs so that a walk over the bars takes links of either as often (McFee and Ellis, equation 6)."""
    of_repeats, of_follows = repeats.sum(axis=1), follows.sum(axis=1)
    both = of_repeats + of_follows
    share = float(of_follows @ both) / max(float(both @ both), TINY)
    return share * repeats + (1.0 - share) * follows


def _best_of_others(costs: np.ndarray) -> np.ndarray:
    """For each label the least cost of all others: float64 [labels]."""
    order = np.argsort(costs, kind="stable")
    others = np.full(len(costs), costs[order[0]])
    others[order[0]] = costs[order[1]]
    return others


def _eigenvectors(affinity: np.ndarray, count: int) -> np.ndarray:
    """Eigenvectors of the normalised Laplacian to its smallest eigenvalues: float64 [bars, count]."""
    scale = 1.0 / np.sqrt(np.maximum(affinity.sum(axis=1), TINY))
    laplacian = np.eye(len(affinity)) - scale[:, None] * affinity * scale[None, :]
    return np.asarray(linalg.eigh(laplacian, subset_by_index=[0, count - 1], overwrite_a=True)[1])


def _k_means(points: np.ndarray, count: int) -> np.ndarray:
    """Centres of groups, the same ones each time: float64 [count, dimensions]. Starts by Arthur and Vassilvitskii."""
    least, found = np.inf, points[:count]
    for start in range(STARTS):
        random = np.random.default_rng(start)
        centres = points[random.integers(len(points))][None]
        while len(centres) < count:
            apart = cdist(points, centres, "sqeuclidean").min(axis=1)
            even = np.full(len(points), 1.0 / len(points))
            chance = apart / apart.sum() if apart.sum() > TINY else even
            centres = np.concatenate([centres, points[random.choice(len(points), p=chance)][None]])
        for _ in range(ROUNDS):
            nearest = np.argmin(cdist(points, centres, "sqeuclidean"), axis=1)
            member = (nearest[:, None] == np.arange(count)).astype(np.float64)
            sizes = member.sum(axis=0)
            moved = np.where(sizes[:, None] > 0, member.T @ points / np.maximum(sizes, 1.0)[:, None], centres)
            if np.allclose(moved, centres):
                break
            centres = moved
        cost = float(cdist(points, centres, "sqeuclidean").min(axis=1).sum())
        if cost < least - TINY:
            least, found = cost, centres
    return found


def _at_home(affinity: np.ndarray, labels: np.ndarray) -> float:
    """Share of a group's links that stay in it, on average over the groups, beyond what chance gives (one of so many).

    The first part is the normalised association of Shi and Malik (2000), which grows as groups become fewer.
    """
    member = (labels[:, None] == np.unique(labels)).astype(np.float64)
    inside = np.einsum("ij,ij->j", member, affinity @ member)
    return float(np.mean(inside / np.maximum(affinity.sum(axis=1) @ member, TINY))) - 1.0 / member.shape[1]


def _modularity(affinity: np.ndarray, labels: np.ndarray) -> float:
    """Share of links that stay in their group, less what chance would leave there (Newman and Girvan 2004)."""
    whole = max(float(affinity.sum()), TINY)
    member = (labels[:, None] == np.unique(labels)).astype(np.float64)
    inside = np.einsum("ij,ij->j", member, affinity @ member) / whole
    return float(np.sum(inside - np.square(affinity.sum(axis=1) @ member / whole)))


def _novelty_edges(distance: np.ndarray, shortest: int) -> np.ndarray:
    """Bars at which sections start, and the end: int64 [sections + 1]."""
    count = len(distance)
    likeness = np.exp(-distance / (np.median(distance) + TINY))
    reach = 2 * shortest
    offset = np.arange(-reach, reach) + 0.5
    taper = np.sign(offset) * np.exp(-0.5 * np.square(offset / (0.5 * reach)))
    board = np.outer(taper, taper)
    padded = np.pad(likeness, reach, mode="reflect" if count > reach else "edge")
    novelty = np.array([np.sum(padded[bar : bar + 2 * reach, bar : bar + 2 * reach] * board) for bar in range(count)])
    novelty[:shortest] = novelty[count - shortest + 1 :] = -np.inf
    peaks = novelty >= ndimage.maximum_filter1d(novelty, 2 * shortest - 1, mode="constant", cval=-np.inf)
    heard = novelty[np.isfinite(novelty)]
    inside = np.flatnonzero(peaks & np.isfinite(novelty) & (novelty > heard.mean() + TINY))
    return np.concatenate([[0], inside, [count]]).astype(np.int64)
