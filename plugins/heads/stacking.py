"""Learn how much each block's classifier counts from what they say about samples not seen."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from .block_classifiers import blend
from .held_out import stratified_folds
from .logistic_regression import LogisticRegressionHead


def learn_balance(
    heads: list[LogisticRegressionHead],
    blocks: list[Tensor],
    labels: Tensor,
    weight: Tensor,
    groups: Tensor,
) -> Tensor:
    """The balance θ (B,) for which softmax(θ) blends the blocks' held-out predictions best.

    Minimises Σ_i w_i CE_i + ½‖θ‖² over the samples of a stratified 3-fold split that keeps groups
    whole. Zero, a plain mean, where not two classes have two groups.
    """
    _, y = torch.unique(labels, return_inverse=True)
    folds = stratified_folds(y.numpy(), groups.numpy())
    if int(y.max()) == 0 or not folds:
        return torch.zeros(len(blocks))
    parts = [(torch.from_numpy(fitted), torch.from_numpy(held)) for fitted, held in folds]
    votes = [_held_out(*pair, y, weight, parts) for pair in zip(heads, blocks, strict=True)]
    order = torch.cat([held.nonzero()[:, 0] for _, held in parts])
    return _best_balance(torch.stack(votes), y[order], weight[order])


def _held_out(
    head: LogisticRegressionHead,
    block: Tensor,
    y: Tensor,
    weight: Tensor,
    parts: list[tuple[Tensor, Tensor]],
) -> Tensor:
    """Log-probabilities (M, K) of the held-out samples, fold by fold, by what has not seen them."""
    votes = []
    for fitted, held in parts:
        layer = head.fit(block[fitted], y[fitted], int(y.max()) + 1, weight[fitted])
        votes.append(layer(block[held]).detach().log_softmax(1))
    return torch.cat(votes)


@torch.enable_grad()
def _best_balance(votes: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    balance = torch.zeros(len(votes), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([balance], max_iter=100, line_search_fn="strong_wolfe")
    votes, weight = votes.double(), weight.double()

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = cross_entropy(blend(votes, balance), y, reduction="none")
        loss = (weight * losses).sum() + balance.square().sum() / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    return balance.detach().float()
