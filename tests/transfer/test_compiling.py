"""Long fits may be compiled: the same weights as without, in a model that is not."""

from dataclasses import replace

import pytest
import torch
from automl_xfer_plugins.augmentation import progressive_resizing

from automl_xfer.transfer import gradient
from automl_xfer.transfer.fit import fit


@pytest.fixture
def compiler():
    """A backend of torch.compile that runs what it is given as it is; counts the graphs."""

    def backend(graph, inputs):
        backend.graphs += 1
        return graph.forward

    backend.graphs = 0
    return backend


@pytest.fixture(autouse=True)
def settings():
    """Those of torch.compile are as before after each test."""
    names = ("suppress_errors", "fail_on_recompile_limit_hit", "cache_size_limit")
    with torch._dynamo.config.patch({each: getattr(torch._dynamo.config, each) for each in names}):
        yield
    torch.compiler.reset()


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
    close(fitted, plain)
    held_out = parts.unlabelled[0]
    found = torch.from_numpy(fitted.predict(held_out))
    assert torch.allclose(found, torch.from_numpy(plain.predict(held_out)), atol=1e-4)
    assert compiler.graphs == made  # what is delivered runs as it is


def test_every_pass_of_a_training_is_compiled(space, parts, context, monkeypatch):
    """Also where boundaries, image sizes, batches and domains differ, and fit after fit."""
    monkeypatch.setattr(gradient, "LONG_FIT", 1)
    monkeypatch.setattr(progressive_resizing, "STEP", 4)
    monkeypatch.setattr(progressive_resizing, "LEAST", 4)
    compiled = gradient.compiled

    def strict(forward, compiler):
        torch._dynamo.config.fail_on_recompile_limit_hit = False
        made = compiled(forward, compiler)
        torch._dynamo.config.suppress_errors = False
        torch._dynamo.config.fail_on_recompile_limit_hit = True
        return made

    monkeypatch.setattr(gradient, "compiled", strict)
    runs = []

    def backend(graph, inputs):
        return lambda *values: runs.append(1) or graph.forward(*values)

    names = {"head": "linear", "optimization": "adamw", "augmentation": "progressive-resizing"}
    for freezing in ("full", "gradual-unfreezing", "lora", "frozen-depth"):
        for alignment in ("none", "deep-coral"):
            values = {"optimization.adamw.epochs": 8, "optimization.adamw.batch_size": 16}
            chosen = {**names, "freezing": freezing, "alignment": alignment}
            strategy = space.strategy("toy", chosen, values)
            plain = fit(strategy, parts, context)
            runs.clear()
            fitted = fit(strategy, parts, replace(context, compiler=backend))
            steps = 8 * -(-len(parts.target) // 16)
            assert len(runs) >= steps * (1 if alignment == "none" else 2), (freezing, alignment)
            close(fitted, plain)


def test_what_cannot_be_compiled_trains_as_it_is(space, parts, context, monkeypatch):
    monkeypatch.setattr(gradient, "LONG_FIT", 1)

    def broken(graph, inputs):
        raise RuntimeError("no compiler here")

    names = {"freezing": "full", "head": "linear", "optimization": "adamw", "augmentation": "none"}
    strategy = space.strategy("toy", names, {"optimization.adamw.epochs": 5})
    close(fit(strategy, parts, replace(context, compiler=broken)), fit(strategy, parts, context))


def close(fitted, plain):
    expected = plain.model.state_dict()
    assert fitted.model.state_dict().keys() == expected.keys()
    for name, value in fitted.model.state_dict().items():
        assert torch.allclose(value, expected[name], rtol=1e-3, atol=1e-4), name
