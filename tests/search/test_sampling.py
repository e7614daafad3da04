"""What a search reads when its time is short."""

from dataclasses import replace

import numpy as np
import pytest

from automl_xfer.data.image_set import ImageSet
from automl_xfer.search.sampling import fair_shares, unlabelled_rows, within_reach
from automl_xfer.transfer.parts import StudyData


@pytest.fixture
def data(tmp_path):
    """40 source images in two domains, one class with a single image, and 30 unlabelled ones."""
    rows = np.arange(40)
    np.save(tmp_path / "s.npy", np.zeros((40, 2, 2, 3), np.uint8) + rows[:, None, None, None])
    np.save(tmp_path / "u.npy", np.zeros((30, 2, 2, 3), np.uint8))
    labels = np.where(rows == 7, 2, rows % 2)
    return StudyData(
        classes=("a", "b", "c"),
        image_size=160,
        unlabelled=ImageSet(tmp_path / "u.npy", "u"),
        source=ImageSet(tmp_path / "s.npy", "s", labels),
        source_names=("one", "two"),
        source_domains=(rows >= 20).astype(np.int64),
    )


@pytest.mark.parametrize(
    ("sizes", "limit", "kept"),
    [
        ((40, 30), 80, (40, 30)),
        ((40, 30), 40, (20, 20)),
        ((5, 60), 40, (5, 35)),
        ((60, 5), 40, (35, 5)),
    ],
)
def test_what_one_does_not_need_the_other_gets(sizes, limit, kept):
    assert fair_shares(*sizes, limit) == kept


def test_every_class_and_domain_is_thinned_out_alike(data, tmp_path):
    thin = within_reach(data, 5.0, "cpu", tmp_path)  # 40 images
    assert len(thin.unlabelled) == 20
    assert sorted(np.bincount(thin.source.labels)) == [1, 9, 10]  # the single image stays
    assert (
        thin.source.images[:, 0, 0, 0].tolist() == np.sort(thin.source.images[:, 0, 0, 0]).tolist()
    )
    kept = thin.source.images[:, 0, 0, 0].astype(int)
    np.testing.assert_array_equal(thin.source.labels, data.source.labels[kept])
    np.testing.assert_array_equal(thin.source_domains, data.source_domains[kept])
    again = within_reach(data, 5.0, "cpu", tmp_path)
    assert again.source.key == thin.source.key != data.source.key


def test_enough_time_or_a_gpu_reads_all(data, tmp_path):
    assert within_reach(data, 10.0, "cpu", tmp_path) is data
    assert within_reach(data, 1.0, "cuda:0", tmp_path) is data
    small = replace(data, image_size=32)
    assert within_reach(small, 1.0, "cpu", tmp_path) is small


def test_labelled_target_images_are_all_kept(data, tmp_path):
    target = replace(data.source, labels=data.source.labels)
    thin = within_reach(replace(data, target=target), 5.0, "cpu", tmp_path)
    assert thin.target is target


def test_the_rows_can_be_told_afterwards(data, tmp_path):
    rows = np.arange(30, dtype=np.uint8)
    np.save(tmp_path / "u.npy", np.zeros((30, 2, 2, 3), np.uint8) + rows[:, None, None, None])
    thin = within_reach(data, 5.0, "cpu", tmp_path)
    assert thin.unlabelled.images[:, 0, 0, 0].tolist() == unlabelled_rows(30, 20).tolist()
