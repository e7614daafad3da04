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
@pytest.mark.parametrize("augmentation", ["none", "mix-style"])
def test_a_long_fit_is_compiled_to_the_same_weights(
    space, parts, context, compiler, freezing, augmentation, monkeypatch
):
    names = {"freezing": freezing, "head": "linear", "optimization": "adamw"}
    values = {"optimization.adamw.epochs": 5, "optimization.adamw.batch_size": 16}
    strategy = space.strategy("toy", {**names, "augmentation": augmentation}, values)
    plain = fit(strategy, parts, context)
    asked = replace(context, compiler=compiler)
    fit(strategy, parts, asked)
    assert compiler.graphs == 0  # too short to pay for it
    monkeypatch.setattr(gradient, "LONG_FIT", 1)
    fitted = fit(strategy, parts, asked)
    made = compiler.graphs
    assert bool(made) == (augmentation == "none")  # MixStyle looks between the stages
    expected = plain.model.state_dict()
    assert fitted.model.state_dict().keys() == expected.keys()
    for name, value in fitted.model.state_dict().items():
        assert torch.allclose(value, expected[name], rtol=1e-4, atol=1e-5), name
    held_out = parts.unlabelled[0]
    found = torch.from_numpy(fitted.predict(held_out))
    assert torch.allclose(found, torch.from_numpy(plain.predict(held_out)), atol=1e-4)
    assert compiler.graphs == made  # what is delivered runs as it is


def test_many_fits_in_one_process_are_all_compiled(space, parts, context, compiler, monkeypatch):
    monkeypatch.setattr(gradient, "LONG_FIT", 1)
    monkeypatch.setattr(torch._dynamo.config, "fail_on_recompile_limit_hit", True)
    names = {"alignment": "none", "head": "linear", "optimization": "adamw"}
    made = []
    for freezing in ("full", "gradual-unfreezing", "lora", "frozen-depth", "surgical"):
        for batch_size in (16, 32):
            values = {"optimization.adamw.epochs": 5, "optimization.adamw.batch_size": batch_size}
            strategy = space.strategy("toy", {**names, "freezing": freezing}, values)
            before = compiler.graphs
            fit(strategy, parts, replace(context, compiler=compiler))
            made.append(compiler.graphs > before)
    assert all(made)
