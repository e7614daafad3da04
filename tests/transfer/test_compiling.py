"""Long fits may be compiled: the same weights as without, and nothing of it stays."""

from dataclasses import replace

import pytest
import torch

from automl_xfer.transfer import gradient
from automl_xfer.transfer.fit import fit


@pytest.fixture
def compiler():
    """A backend of torch.compile that runs what it is given as it is; counts the graphs."""

    def backend(graph, inputs):
        backend.graphs += 1
        return graph.forward

    backend.graphs = 0
    torch.compiler.reset()
    return backend


@pytest.mark.parametrize("freezing", ["full", "gradual-unfreezing"])
def test_a_long_fit_is_compiled_to_the_same_weights(
    space, parts, context, compiler, freezing, monkeypatch
):
    names = {"freezing": freezing, "head": "linear", "optimization": "adamw"}
    values = {"optimization.adamw.epochs": 5, "optimization.adamw.batch_size": 16}
    strategy = space.strategy("toy", {**names, "augmentation": "none"}, values)
    plain = fit(strategy, parts, context)
    asked = replace(context, compiler=compiler)
    fit(strategy, parts, asked)
    assert compiler.graphs == 0  # too short to pay for it
    monkeypatch.setattr(gradient, "LONG_FIT", 1)
    fitted = fit(strategy, parts, asked)
    assert compiler.graphs > 0
    expected = plain.model.state_dict()
    assert fitted.model.state_dict().keys() == expected.keys()
    for name, value in fitted.model.state_dict().items():
        assert torch.allclose(value, expected[name], rtol=1e-4, atol=1e-5), name
    made = compiler.graphs
    held_out = parts.unlabelled[0]
    assert torch.allclose(
        torch.from_numpy(fitted.predict(held_out)),
        torch.from_numpy(plain.predict(held_out)),
        atol=1e-4,
    )
    assert compiler.graphs == made  # what is delivered runs as it is
