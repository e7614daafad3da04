"""Two untrained backbones in timm's local layout."""

import json

import pytest


@pytest.fixture(scope="module")
def two_backbones(tmp_path_factory):
    import timm
    import torch
    from safetensors.torch import save_file

    root = tmp_path_factory.mktemp("weights")
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        folder = root / name
        folder.mkdir()
        model = timm.create_model("resnet10t", num_classes=0)
        cfg = {"input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.25] * 3}
        config = {"architecture": "resnet10t", "num_classes": 0, "pretrained_cfg": cfg}
        (folder / "config.json").write_text(json.dumps(config))
        save_file(model.state_dict(), folder / "model.safetensors")
    return root
