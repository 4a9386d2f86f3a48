"""Functions that ask a trial, as users write them."""

from __future__ import annotations

from typing import Any

import networkx as nx
from optuna.trial import BaseTrial


def mlp(trial: BaseTrial, most: int = 8) -> list[str]:
    """One to eight layers, each with its width and dropout."""
    layers: list[str] = []
    for i in range(trial.suggest_int("n_layers", 1, most)):
        layers.append(f"linear_{trial.suggest_int(f'width_{i}', 16, 128, step=16)}")
        dropout = trial.suggest_categorical(f"dropout_{i}", [0.0, 0.2, 0.5])
        if dropout:
            layers.append(f"dropout_{dropout}")
    return layers


def short_mlp(trial: BaseTrial) -> list[str]:
    return mlp(trial, most=2)


def transformer(trial: BaseTrial) -> list[str]:
    blocks: list[str] = []
    for i in range(trial.suggest_int("layers", 2, 6)):
        heads = trial.suggest_categorical(f"heads_{i}", [4, 8, 12])
        blocks += [f"attention_{heads}", f"mlp_{trial.suggest_int(f'ratio_{i}', 2, 4)}"]
    return blocks


def branches(trial: BaseTrial) -> nx.DiGraph:
    """One or two branches of up to two layers, added or concatenated; maybe a skip."""
    graph = nx.DiGraph()
    n_branches = trial.suggest_int("branches", 1, 2)
    if n_branches == 2:
        graph.add_node("join", op=trial.suggest_categorical("join", ["add", "concatenate"]))
    for b in range(n_branches):
        last = None
        for i in range(trial.suggest_int(f"depth_{b}", 1, 2)):
            graph.add_node((b, i), op=trial.suggest_categorical(f"op_{b}_{i}", ["conv", "pool"]))
            if last is not None:
                graph.add_edge(last, (b, i))
            last = (b, i)
        if n_branches == 2:
            graph.add_edge(last, "join")
    return graph


def with_ends(trial: BaseTrial) -> nx.DiGraph:
    """A graph with its own input and output, a dead node and a zero operation."""
    graph = nx.DiGraph()
    graph.add_nodes_from([("x", {"op": "input"}), ("y", {"op": "output"}), ("d", {"op": "dead"})])
    for name in ("a", "b"):
        graph.add_node(name, op=trial.suggest_categorical(name, ["none", "conv", "pool"]))
        graph.add_edges_from([("x", name), (name, "y")])
    graph.add_edge("a", "d")
    if trial.suggest_categorical("cross", [False, True]):
        graph.add_edge("a", "b")
    return graph


def parameters_only(trial: BaseTrial) -> None:
    if trial.suggest_categorical("kind", ["tree", "net"]) == "net":
        for i in range(trial.suggest_int("depth", 0, 2)):
            trial.suggest_int(f"width_{i}", 2, 5)
    else:
        trial.suggest_categorical("split", [True, False, None])


def many_parameters(trial: BaseTrial) -> None:
    for i in range(250):
        trial.suggest_int(f"x_{i}", 0, 3)


def nothing(trial: BaseTrial) -> None:
    return None


def rare(trial: BaseTrial) -> None:
    """A parameter that one of 10^6 combinations asks for."""
    values = [trial.suggest_int(f"x_{i}", 0, 9) for i in range(6)]
    if values == [9, 8, 7, 6, 5, 4]:
        trial.suggest_int("rare", 0, 1)


def many_labels(trial: BaseTrial) -> list[str]:
    """Operations of which any sample meets some only."""
    return [
        f"{'-'.join(str(trial.suggest_int(f'{k}_{i}', 0, 9)) for k in 'abc')}" for i in range(2)
    ]


class Drifting:
    """Gives another graph at every call."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, trial: BaseTrial) -> Any:
        self.calls += 1
        trial.suggest_int("x", 0, 3)
        return [f"op{self.calls}"]
