"""Print docs/commands.md: every setting of every command, from the dataclasses that declare them."""

from __future__ import annotations

import importlib
import inspect

from dags import config as workflow_settings
from stores.command_line import SettingDescription, describe

COMMANDS = {
    "pipeline.ingest": ("pipeline.ingestion.config", "IngestSettings"),
    "pipeline.shard": ("pipeline.sharding.config", "ShardSettings"),
    "pipeline.verify": ("pipeline.verification.config", "VerifySettings"),
    "pipeline.preview": ("pipeline.verification.config", "PreviewSettings"),
    "model.train": ("model.training.config", "TrainSettings"),
    "model.models": ("model.inference.config", "ModelsSettings"),
    "model.metrics": ("model.training.metrics_export", "MetricsSettings"),
    "model.export": ("model.inference.config", "ExportSettings"),
    "model.extract": ("model.inference.config", "ExtractSettings"),
    "model.probe": ("model.probes.config", "ProbeSettings"),
    "model.predict": ("model.probes.config", "PredictSettings"),
    "model.compare": ("model.probes.config", "CompareSettings"),
    "model.search": ("model.similarity.config", "SearchSettings"),
    "model.report": ("model.page.config", "ReportSettings"),
    "dags.demo": (workflow_settings.__name__, "DemoSettings"),
    "dags.pretrain": (workflow_settings.__name__, "PretrainSettings"),
    "dags.explore": (workflow_settings.__name__, "ExploreSettings"),
    "dags.embed": (workflow_settings.__name__, "EmbedSettings"),
    "dags.key": (workflow_settings.__name__, "KeySettings"),
    "dags.benchmark": (workflow_settings.__name__, "BenchmarkSettings"),
    "dags.evidence": (workflow_settings.__name__, "EvidenceSettings"),
    "dags.sweep": (workflow_settings.__name__, "SweepSettings"),
}
HEADER = """# Commands

Every setting of every command. This page is written by `make reference` from the dataclasses that declare the settings.
`--help` prints the same. `--config FILE` reads settings from a JSON file, by name, for example `{"batch": 256}`.
"""


def reference() -> str:
    """Return the whole page as Markdown."""
    return "\n".join([HEADER, *(_section(command, *place) for command, place in COMMANDS.items())])


def _section(command: str, module: str, name: str) -> str:
    kind = getattr(importlib.import_module(module), name)
    rows = [one for one in describe(kind) if one.flag != "--config"]
    table = [f"| `{one.flag}` | {_cell(_meaning(one))} | {_cell(one.default)} |" for one in rows]
    text = " ".join(inspect.cleandoc(kind.__doc__).split())
    head = f"## python -m {command}\n\n{text}\n\n| setting | meaning | default |\n|---|---|---|\n"
    return head + "\n".join(table) + "\n"


def _meaning(setting: SettingDescription) -> str:
    return f"{setting.meaning} It must be {setting.limits}." if setting.limits else setting.meaning


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
