"""What the examples with images train on: scikit-learn's digits, in less than a second."""

from __future__ import annotations

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
import torch
from torch import nn
from torch import Tensor


N_CLASSES = 10


def load(n_train: int = 300) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return training images (``n x 8 x 8``), validation images and the labels of both."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(
        images.reshape(-1, 8, 8) / 16, labels, train_size=n_train, random_state=0, stratify=labels
    )
    x, x_valid, y, y_valid = (torch.as_tensor(part) for part in parts)
    return x.float(), x_valid.float(), y, y_valid


def validation_loss(network: nn.Module, epochs: int, rate: float = 3e-3) -> float:
    """Train on mini-batches of 50 and return the mean cross-entropy on the rest, in nats."""
    x, x_valid, y, y_valid = load()
    optimizer = torch.optim.Adam(network.parameters(), rate)
    network.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[batch]), y[batch]).backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        return float(nn.functional.cross_entropy(network(x_valid), y_valid))
