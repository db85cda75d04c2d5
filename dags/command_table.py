"""The commands by their short names, with the modules that run them and the classes of their settings."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple


class Command(NamedTuple):
    """One command."""

    module: str
    """Module with its `main`, which `python -m` runs."""
    settings_module: str
    """Module of its settings, which imports nothing slow."""
    settings: str
    """Class of its settings."""

    def settings_class(self) -> Any:
        """Return the class of its settings."""
        return getattr(importlib.import_module(self.settings_module), self.settings)


_DAGS = "dags.config"
COMMANDS = {
    command.module.rpartition(".")[2]: command
    for command in (
        Command("pipeline.ingest", "pipeline.ingestion.config", "IngestSettings"),
        Command("pipeline.shard", "pipeline.sharding.config", "ShardSettings"),
        Command("pipeline.verify", "pipeline.verification.config", "VerifySettings"),
        Command("pipeline.preview", "pipeline.verification.config", "PreviewSettings"),
        Command("model.train", "model.training.config", "TrainSettings"),
        Command("model.models", "model.inference.config", "ModelsSettings"),
        Command("model.metrics", "model.training.metrics_export", "MetricsSettings"),
        Command("model.export", "model.inference.config", "ExportSettings"),
        Command("model.extract", "model.inference.config", "ExtractSettings"),
        Command("model.probe", "model.probes.config", "ProbeSettings"),
        Command("model.predict", "model.probes.config", "PredictSettings"),
        Command("model.compare", "model.probes.config", "CompareSettings"),
        Command("model.align", "model.alignment.config", "AlignSettings"),
        Command("model.search", "model.similarity.config", "SearchSettings"),
        Command("model.report", "model.page.config", "ReportSettings"),
        Command("dags.demo", _DAGS, "DemoSettings"),
        Command("dags.pretrain", _DAGS, "PretrainSettings"),
        Command("dags.explore", _DAGS, "ExploreSettings"),
        Command("dags.embed", _DAGS, "EmbedSettings"),
        Command("dags.key", _DAGS, "KeySettings"),
        Command("dags.train_key", _DAGS, "TrainKeySettings"),
        Command("dags.benchmark", _DAGS, "BenchmarkSettings"),
        Command("dags.evidence", _DAGS, "EvidenceSettings"),
        Command("dags.findings", _DAGS, "FindingsSettings"),
        Command("dags.sweep", _DAGS, "SweepSettings"),
        Command("dags.serve", _DAGS, "ServeSettings"),
        Command("dags.doctor", _DAGS, "DoctorSettings"),
    )
}
"""Commands by the last part of their modules, in the order of the work."""
