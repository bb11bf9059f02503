"""A training state on disk."""

import pickle

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import clusters
from toolweft_server.training import quantise, resume
from toolweft_server.training.errors import ArtefactError
from toolweft_server.training.quantiser import Data
from toolweft_server.training.rqkmeans import RqKMeansConfig
from toolweft_server.training.rqvae import RqVaeConfig

pytestmark = pytest.mark.torch

DATA = Data(clusters.vectors(clusters=4, each=10, width=8))
CONFIGS = {
    "rqkmeans": RqKMeansConfig(codes=6, levels=3),
    "rqvae": RqVaeConfig(codes=6, latent=4, hidden=(8,), steps=12, warmup=4, batch=16, balance_rounds=2),
}


def fit(kind, **how):
    return quantise.fit(CONFIGS[kind], DATA, torch.Generator().manual_seed(1), **how)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_run_that_goes_on_from_disk_ends_like_one_that_never_stopped(tmp_path, kind):
    path = tmp_path / "deep" / "state.pt"
    resume.save(fit(kind, until=2).state, path)
    gone_on = fit(kind, resume=resume.load(path))
    whole = fit(kind)
    assert gone_on.history == whole.history
    for name, array in whole.quantiser.arrays().items():
        assert np.array_equal(gone_on.quantiser.arrays()[name], array), name
    assert [each.name for each in path.parent.iterdir()] == ["state.pt"]


def test_where_nothing_was_saved_there_is_no_state(tmp_path):
    assert resume.load(tmp_path / "state.pt") is None


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_state_that_is_cut_is_refused(tmp_path, share):
    path = tmp_path / "state.pt"
    resume.save(fit("rqvae", until=5).state, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ArtefactError, match="cannot be read"):
        resume.load(path)


class Hostile:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_a_state_that_holds_code_is_refused_and_does_not_run_it(tmp_path, capsys):
    path = tmp_path / "state.pt"
    torch.save({"format": 1, "step": Hostile()}, path)
    with pytest.raises(ArtefactError, match="cannot be read"):
        resume.load(path)
    path.write_bytes(pickle.dumps(Hostile(), protocol=2))
    with pytest.raises(ArtefactError, match="cannot be read"):
        resume.load(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [{"format": 2}, {"format": 1}, {}, []])
def test_a_state_that_makes_no_sense_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "state.pt")
    with pytest.raises(ArtefactError, match="cannot be read"):
        resume.load(tmp_path / "state.pt")
