import hashlib

import numpy as np
import pytest

from trajlm.errors import InputError
from trajlm.io import datasets
from trajlm.io.datasets import DATASETS, Dataset, fetch_dataset, load_dataset

RECORD = b"Ext_9\r711.657\r707.192\r710.5\r"


@pytest.fixture
def small_record(monkeypatch):
    one = Dataset(
        title="t",
        url="https://example.invalid/Mol2_6_Ext_9.txt",
        sha256=hashlib.sha256(RECORD).hexdigest(),
        path="riboswitch/Mol2_6_Ext_9.txt",
        quantity="extension",
        dt=0.1,
        unit="ms",
        terms="t",
        cite="c",
    )
    monkeypatch.setattr(datasets, "DATASETS", {"small": one})


@pytest.mark.parametrize("where", ["riboswitch/Mol2_6_Ext_9.txt", "Mol2_6_Ext_9.txt"])
def test_a_local_folder_is_taken_with_dt_and_unit(small_record, tmp_path, monkeypatch, where):
    path = tmp_path / where
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(RECORD)
    monkeypatch.setenv("TRAJLM_DATA", str(tmp_path))
    features = load_dataset("small")
    np.testing.assert_array_equal(features.trajectories[0][:, 0], [711.657, 707.192, 710.5])
    assert (features.names, features.dt, features.unit) == (("extension",), 0.1, "ms")


def test_a_file_with_another_checksum_is_refused(small_record, tmp_path, monkeypatch):
    (tmp_path / "Mol2_6_Ext_9.txt").write_bytes(RECORD + b"1.0\r")
    monkeypatch.setenv("TRAJLM_DATA", str(tmp_path))
    with pytest.raises(InputError, match="checksum differs"):
        fetch_dataset("small")


def test_without_folder_and_connection_both_ways_are_told(small_record, tmp_path, monkeypatch):
    monkeypatch.delenv("TRAJLM_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError) as error:
        fetch_dataset("small")
    assert "example.invalid" in str(error.value)
    assert "TRAJLM_DATA" in str(error.value)


def test_a_download_with_the_right_checksum_is_kept(small_record, tmp_path, monkeypatch):
    source = tmp_path / "server.txt"
    source.write_bytes(RECORD)

    def downloader(timeout):
        def download(url, output_file, pup):
            with open(output_file, "wb") as file:
                file.write(source.read_bytes())

        return download

    monkeypatch.delenv("TRAJLM_DATA", raising=False)
    monkeypatch.setattr("pooch.HTTPDownloader", downloader)
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache")
    path = fetch_dataset("small")
    assert path.read_bytes() == RECORD
    source.unlink()
    assert fetch_dataset("small") == path


def test_unknown_names_are_listed():
    with pytest.raises(InputError, match="riboswitch_mol2"):
        fetch_dataset("riboswitch")
    assert all(len(dataset.sha256) == 64 for dataset in DATASETS.values())
