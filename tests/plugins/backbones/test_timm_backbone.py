"""Which candidates a request gives, from the hub and from folders, and how loading fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from automl_xfer_plugins.backbones.timm_backbone import (
    CPU_PORTFOLIO,
    GPU_PORTFOLIO,
    TimmBackbone,
)
from timm.models import is_model_pretrained

from automl_xfer.components import BackboneRequest
from automl_xfer.errors import BackboneUnavailableError, LeftOutWarning

WEIGHTS = Path(__file__).parents[4] / "shared" / "weights"


def names(**request):
    return [candidate.model for candidate in TimmBackbone.candidates(BackboneRequest(**request))]


@pytest.fixture
def weights_dir(tmp_path):
    """Two folders in timm's local layout, and one that is none."""
    for name, architecture in [("birds", "resnet18"), ("insects", "mobilenetv2_050")]:
        model = timm.create_model(architecture, num_classes=0)
        config = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "input_size": [3, 64, 64]}
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(
            json.dumps({"architecture": architecture, "num_classes": 0, "pretrained_cfg": config})
        )
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_portfolios_name_real_weights():
    assert names() == list(CPU_PORTFOLIO)
    assert names(accelerator=True) == list(GPU_PORTFOLIO)
    assert all(is_model_pretrained(name) for name in CPU_PORTFOLIO + GPU_PORTFOLIO)


def test_patterns_of_the_hub():
    assert names(patterns=("resnet18",)) == ["resnet18"]
    assert names(patterns=("resnet18.tv_in1k",)) == ["resnet18.tv_in1k"]
    assert "resnet18.tv_in1k" in names(patterns=("resnet18*", "resnet18.tv_in1k"))
    assert names(patterns=("resnet18*", "resnet18.tv_in1k")).count("resnet18.tv_in1k") == 1
    assert names(patterns=("resnet18.no_such_tag", "no-such-model", "small-convnet")) == []


def test_folders_and_their_patterns(weights_dir):
    assert names(weights_dir=weights_dir) == ["birds", "insects"]
    assert names(weights_dir=weights_dir, patterns=("in*",)) == ["insects"]
    assert names(weights_dir=weights_dir, patterns=("resnet18",)) == []


def test_a_folder_gives_its_own_weights_and_normalisation(weights_dir):
    birds, _ = TimmBackbone.candidates(BackboneRequest(weights_dir=weights_dir))
    model = birds.build().eval()
    state = torch.load(weights_dir / "birds" / "pytorch_model.bin")
    assert torch.equal(model.stages[0][0].weight, state["conv1.weight"])
    assert model.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert birds.label == "birds"
    assert TimmBackbone.from_dict(json.loads(json.dumps(birds.to_dict()))) == birds


def test_the_bare_architecture_takes_the_weights_without_the_folder(weights_dir):
    birds, _ = TimmBackbone.candidates(BackboneRequest(weights_dir=weights_dir))
    built = birds.build().eval()
    for path in (weights_dir / "birds").iterdir():
        path.unlink()
    bare = birds.build(pretrained=False).eval()
    bare.load_state_dict(built.state_dict())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(bare(images), built(images))


def test_broken_folders_are_named(weights_dir):
    birds, insects = TimmBackbone.candidates(BackboneRequest(weights_dir=weights_dir))
    (weights_dir / "birds" / "pytorch_model.bin").write_bytes(b"not weights")
    with pytest.raises(BackboneUnavailableError, match=r"birds cannot be loaded .* --weights-dir"):
        birds.build()
    (weights_dir / "insects" / "pytorch_model.bin").unlink()
    with pytest.raises(BackboneUnavailableError, match="insects cannot be loaded"):
        insects.build()
    (weights_dir / "birds" / "config.json").write_text('{"architecture": "no_such_net"}')
    with pytest.warns(LeftOutWarning, match=r"birds.*does not name a timm architecture"):
        assert names(weights_dir=weights_dir) == ["insects"]


@pytest.mark.parametrize(
    ("architecture", "facts"),
    [
        ("resnet18", {"pretrained", "batch_norm", "stages", "maps", "classifier"}),
        ("convnext_atto", {"pretrained", "stages", "maps", "classifier"}),
        ("vit_tiny_patch16_224", {"pretrained", "stages", "classifier"}),
        ("vit_small_patch14_dinov2", {"pretrained", "stages"}),
        ("deit_tiny_distilled_patch16_224", {"pretrained"}),
        ("densenet121", {"pretrained", "batch_norm", "classifier"}),
    ],
)
def test_facts_need_no_weights(architecture, facts):
    assert TimmBackbone(architecture).facts() == facts


@pytest.mark.parametrize(
    "environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}]
)
def test_an_unreachable_hub_fails_fast_and_names_the_way_out(environment, tmp_path):
    """In a process of its own, as the hub's client reads its settings when it is imported."""
    script = (
        "import time, traceback\n"
        "from automl_xfer_plugins.backbones.timm_backbone import TimmBackbone\n"
        "start = time.monotonic()\n"
        "try: TimmBackbone('resnet18').build()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "assert time.monotonic() - start < 12\n"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=clean | {"HF_HOME": str(tmp_path)} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("BackboneUnavailableError the hub ")
    assert "--weights-dir" in done.stdout
    assert len(done.stdout.strip().splitlines()) == 1


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason=f"no weights in {WEIGHTS}")
def test_real_weights_give_finite_features():
    for candidate in TimmBackbone.candidates(BackboneRequest(weights_dir=WEIGHTS)):
        model = candidate.build().eval()
        with torch.no_grad():
            features = model(model.normalise(torch.randint(0, 256, (2, 3, 96, 96)).byte()))
        assert features.shape == (2, model.feature_dim)
        assert features.isfinite().all()
