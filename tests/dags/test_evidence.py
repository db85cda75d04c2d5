import json

import numpy as np
import tiny

from dags import evidence as command
from dags.config import EvidenceSettings
from dags.workflows import evidence
from model.encoder import weights
from model.evidence.comparison import Values
from model.inference import checkpoints


def _steps(study, tmp_path, **options):
    return {step.name: step for step in evidence.steps(EvidenceSettings(study=study, root=tmp_path, **options))}


def test_training_reads_only_packages_for_training_and_choices(tmp_path):
    steps = _steps("train", tmp_path)
    assert list(steps) == ["unpack-train", "ingest-train", "unpack-choice", "ingest-choice", "train"]
    assert "judge" not in " ".join(steps["train"].arguments)
    assert steps["train"].after == ("ingest-train", "ingest-choice")


def test_a_comparison_waits_for_the_changed_copies(tmp_path):
    steps = _steps("judge", tmp_path)
    assert steps["compare"].after == ("ingest-judge", "ingest-judge-mp3", "ingest-judge-quiet")
    assert steps["ingest-judge-mp3"].after == ("copy-judge-mp3",)


def test_a_soundfont_adds_rendered_clips_to_a_comparison(tmp_path):
    steps = _steps("judge", tmp_path, soundfont=tmp_path / "font.sf2", rendered_clips=48)
    assert steps["compare"].after[-1] == "render-open-rendered"
    assert "--clips 48 --as-written" in " ".join(steps["render-open-rendered"].arguments)


def test_a_missing_soundfont_is_an_error_before_any_step(tmp_path, capsys):
    words = ["judge", "--root", str(tmp_path), "--soundfont", str(tmp_path / "gone.sf2")]
    assert command.main(words) == 2
    assert "gone.sf2 does not exist" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


class _SmallComparison:
    """A comparison whose only measure is 1 for every representation."""

    album_names, albums = np.array(["a"]), np.array([0, 0])
    passages, rendered_count = (), 0

    def __init__(self, *_):
        pass

    def measure(self, _):
        return {"track-map": Values(np.ones(2), np.arange(2), np.ones(2))}


def test_a_comparison_states_the_weights_of_its_encoders(tmp_path, monkeypatch):
    path = tiny.write_run(tmp_path / "run")
    monkeypatch.setattr(evidence, "Comparison", _SmallComparison)
    monkeypatch.setattr(evidence.MelStore, "open", lambda path: path)
    settings = EvidenceSettings(study="choice", checkpoint=(str(path),), out=tmp_path / "scores.json")
    assert evidence._comparing(settings, "choice")(()) == 0
    loaded = checkpoints.load(path)
    scores = json.loads(settings.out.read_text())
    assert scores["weights"] == {scores["subject"]: weights.digest(loaded.encoder)}


def test_the_table_marks_significant_differences_in_both_directions():
    scores = {"ours": {"map": [0.6, 0.5, 0.7]}, "low": {"map": [0.4, 0.3, 0.5]}, "high": {"map": [0.8, 0.7, 0.9]}}
    differences = {"low": {"map": [0.2, 0.1, 0.3]}, "high": {"map": [-0.2, -0.3, -0.1]}}
    _, ours, low, high = evidence.table({"subject": "ours", "scores": scores, "differences": differences})
    assert ours.endswith("0.600 (0.500-0.700)")
    assert low.endswith("0.400 (0.300-0.500)*")
    assert high.endswith("0.800 (0.700-0.900)!")
