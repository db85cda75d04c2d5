"""Rules for the source tree: imports between packages, sizes, docstrings, flags of commands and public names."""

from __future__ import annotations

import ast
import graphlib
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("stores", "pipeline", "model", "dags")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

# The modules, by prefix, that a package may import besides itself.
MAY_IMPORT = {
    "stores": (),
    "pipeline": ("stores",),
    "model": ("stores", "pipeline.audio", "pipeline.cluster"),
    "dags": ("stores", "pipeline", "model"),
}

# (file, module) -> reason why the module is not imported at the top
LOCAL_IMPORTS = {
    ("model/training/metrics_export.py", "torch.utils.tensorboard"): "needs the extra `tensorboard`",
    ("model/training/reconstructions.py", "matplotlib.figure"): "needs the extra `report`",
    ("model/evidence/findings_table.py", "matplotlib.figure"): "needs the extra `report`",
    ("pipeline/datasets/mirdata_loaders.py", "mirdata"): "is the extra `mirdata`",
    ("stores/object_storage.py", "obstore.store"): "needs the extra `remote`",
    ("stores/object_storage.py", "obstore.auth.boto3"): "needs boto3, which no extra brings",
    ("model/similarity/ann_index.py", "usearch.index"): "is the extra `search`",
    ("model/alignment/text_encoders.py", "tokenizers"): "is the extra `text`",
    ("model/alignment/text_encoders.py", "onnxruntime"): "is the extra `text`",
    ("pipeline/datasets/demo.py", "pipeline.demo_corpus.rendering"): "needs the extra `demo`: music21, midirenderer",
}

MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 40


def _module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {_module_name(path): ast.parse(path.read_text()) for path in FILES}
PATHS = dict(zip(TREES, FILES, strict=True))


def _targets(node):
    """Return the modules that an import statement imports; a name in a module counts as its module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert node.level == 0, "relative imports hide where a name comes from"
    full = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name if name in TREES else node.module for name in full]


def _imports(tree):
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return [(node, target) for node in nodes for target in _targets(node)]


def _functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _public_definitions():
    """Yield (name, node) of every public class, public function, and public method of a public class."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for module, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, kinds) and not node.name.startswith("_"):
                yield f"{module}.{node.name}", node
                for inner in node.body if isinstance(node, ast.ClassDef) else ():
                    if isinstance(inner, kinds) and not inner.name.startswith("_"):
                        yield f"{module}.{node.name}.{inner.name}", inner


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_allowed_packages(package):
    allowed = (package, *MAY_IMPORT[package])
    violations = [
        f"{module} imports {target}"
        for module, tree in TREES.items()
        if module.split(".")[0] == package
        for _, target in _imports(tree)
        if target.split(".")[0] in (*PACKAGES, "tests")
        and not any(target == name or target.startswith(f"{name}.") for name in allowed)
    ]
    assert violations == []


@pytest.mark.parametrize("leaf", ["pipeline.audio", "pipeline.cluster"])
def test_leaf_packages_import_only_stores(leaf):
    violations = [
        f"{module} imports {target}"
        for module, tree in TREES.items()
        if module.startswith(leaf)
        for _, target in _imports(tree)
        if target.split(".")[0] in PACKAGES and not target.startswith(("stores", leaf))
    ]
    assert violations == []


def test_only_dags_import_commands():
    """A command is a module with a `__main__` block, directly in `pipeline/`, `model/` or `dags/`."""
    commands = {module for module, tree in TREES.items() if _is_command(tree)}
    violations = [
        f"{module} imports {target}"
        for module, tree in TREES.items()
        if not module.startswith("dags")
        for _, target in _imports(tree)
        if target in commands
    ]
    assert violations == []


def _is_command(tree):
    return any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in tree.body)


def test_modules_have_no_circular_imports():
    graph = {
        module: {target for _, target in _imports(tree) if target in TREES and target != module}
        for module, tree in TREES.items()
    }
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which shows the modules


def test_imports_are_at_the_top_except_for_extras_and_in_commands():
    local_imports = {
        (PATHS[module].relative_to(ROOT).as_posix(), target)
        for module, tree in TREES.items()
        for function in _functions(tree)
        for _, target in _imports(function)
        if not (_is_command(tree) and target in _imports_of_main(tree))
    }
    assert local_imports == set(LOCAL_IMPORTS)


def _imports_of_main(tree):
    """Return the modules that the `main` of a command imports only after it has parsed, so that `--help` is fast."""
    mains = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"]
    return {target for main in mains for _, target in _imports(main)}


def _loaded_after(statement, names):
    """Return those of the modules `names` that a new process has loaded after a statement."""
    code = f"import sys; {statement}\nprint(*[name for name in {names!r} if name in sys.modules])"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return process.stdout.split()


def test_stores_import_neither_torch_nor_dask_nor_ffmpeg():
    modules = ", ".join(module for module in TREES if module.startswith("stores"))
    assert (
        _loaded_after(f"import {modules}", ["torch", "dask", "distributed", "ffmpeg", "imageio_ffmpeg", "soxr"]) == []
    )


def test_workers_of_an_ingest_do_not_import_torch():
    assert (
        _loaded_after("import pipeline.ingestion.region_task, pipeline.ingest", ["torch", "webdataset", "sklearn"])
        == []
    )


SLOW_TO_IMPORT = [
    "torch",
    "dask",
    "distributed",
    "zarr",
    "pyarrow",
    "scipy",
    "sklearn",
    "pandas",
    "matplotlib",
    "altair",
    "av",
]


def _is_entry_point(node):
    return isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)


ENTRY_POINTS = sorted(module for module, tree in TREES.items() if any(map(_is_entry_point, tree.body)))


@pytest.mark.parametrize("command", ENTRY_POINTS)
def test_help_of_a_command_imports_no_slow_library(command):
    statement = f"import contextlib, io, {command}\nwith contextlib.suppress(SystemExit), "
    statement += f"contextlib.redirect_stdout(io.StringIO()): {command}.main(['--help'])\n"
    assert _loaded_after(statement, SLOW_TO_IMPORT) == []


def test_training_imports_no_audio_decoder():
    decoders = ["av", "soundfile", "soxr", "ffmpeg", "imageio_ffmpeg"]
    assert _loaded_after("import model.train, model.inference.batched_mel, model.encoder.kernels.cells", decoders) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_are_short_and_have_a_docstring(path):
    lines = path.read_text().splitlines()
    assert len(lines) < MAX_FILE_LINES
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_functions_are_short():
    line_counts = {
        f"{module}.{function.name}": function.end_lineno - function.lineno + 1 - _docstring_lines(function)
        for module, tree in TREES.items()
        for function in _functions(tree)
    }
    assert {name: lines for name, lines in line_counts.items() if lines > MAX_FUNCTION_LINES} == {}


def _docstring_lines(function):
    first = function.body[0]
    return first.end_lineno - first.lineno + 1 if ast.get_docstring(function) else 0


def test_file_names_are_specific():
    names = [path for path in FILES if re.search(r"util|common|misc|helper", path.stem)]
    assert names == []


def test_the_top_level_has_exactly_the_four_packages():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py") if not path.parent.name.startswith(".")}
    assert packages == set(PACKAGES)
    assert not (ROOT / "tests" / "__init__.py").exists()


def test_all_public_definitions_have_docstrings():
    assert [name for name, node in _public_definitions() if not ast.get_docstring(node)] == []


def test_first_lines_of_docstrings_are_sentences():
    def first(node):
        return (ast.get_docstring(node) or "").split("\n\n")[0]

    violations = [name for name, node in _public_definitions() if not first(node).rstrip().endswith((".", ":", "`"))]
    assert violations == []


ARRAY = re.compile(r"\bNDArray\b|\bTensor\b")
STATED_IN_ANNOTATION = re.compile(r"(Float|Int|UInt8|Bool|Shaped|Integer|Inexact|Num)\w*\[")
# a single axis may be stated in words: "one per clip", "group of each clip"
STATED_IN_TEXT = re.compile(
    r"\[[A-Za-z0-9_, ]*\]|any shape|shape of|shape as|same shape|one per|of each", re.IGNORECASE
)


def test_public_arrays_state_their_shapes():
    violations = []
    for name, node in _public_definitions():
        if isinstance(node, ast.ClassDef):
            continue
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        annotations = [a.annotation for a in arguments] + [node.returns]
        arrays = [text for a in annotations if a is not None and ARRAY.search(text := ast.unparse(a))]
        unstated = [text for text in arrays if not STATED_IN_ANNOTATION.search(text)]
        if unstated and not STATED_IN_TEXT.search(ast.get_docstring(node) or ""):
            violations.append(f"{name}: {unstated}")
    assert violations == []


def test_array_fields_of_stores_and_audio_state_their_shapes():
    violations = []
    for name, node in _public_definitions():
        body = node.body if isinstance(node, ast.ClassDef) and name.startswith(("stores", "pipeline.audio")) else []
        for field, after in zip(body, [*body, None][1:], strict=True):
            if isinstance(field, ast.AnnAssign) and ARRAY.search(text := ast.unparse(field.annotation)):
                docstring = ast.unparse(after) if isinstance(after, ast.Expr) else ""
                if not STATED_IN_ANNOTATION.search(text) and not STATED_IN_TEXT.search(docstring):
                    violations.append(f"{name}.{ast.unparse(field.target)}")
    assert violations == []


FLAGS_OF_OTHER_COMMANDS = {"--ingest", "--train"}
"""Flags after which all words belong to another command. They are not in the list of flags of `--help`."""
COMMANDS = {
    "pipeline.ingest": {
        *("dataset", "--root", "--store", "--max-seconds", "--decode-seconds", "--scheduler", "--workers"),
        *(
            "--n-fft-samples",
            "--hop-samples",
            "--n-mels",
            "--fmin-hz",
            "--fmax-hz",
            "--sample-rate-hz",
            "--resampler",
            "--compat",
            "--limit",
            "--transpose",
            "--transpose-all",
            "--dtype",
            "--dry-run",
            "--json",
            "--retry-refused",
            "--prune",
            "--segments",
            "--ontology",
            "--subset",
            "--splits",
            "--labels",
        ),
        *("--metadata", "--split-number", "--dataset", "--id-column"),
        *("--as-written", "--clips", "--programs", "--seed", "--soundfont"),
        *("--tls-ca-file", "--tls-cert", "--tls-key"),
    },
    "pipeline.preview": {"store", "--clips", "--id", "--out", "--json"},
    "pipeline.shard": {
        *("store", "--seed", "--format", "--json", "--scheduler", "--workers"),
        *("--tls-ca-file", "--tls-cert", "--tls-key"),
    },
    "pipeline.verify": {
        *(
            "paths",
            "--repair",
            "--read-audio",
            "--json",
            "--upgrade",
            "--max-seconds",
            "--decode-seconds",
            "--scheduler",
            "--workers",
        ),
        *("--tls-ca-file", "--tls-cert", "--tls-key"),
    },
    "model.train": {
        *("--window-frames", "--freeze-encoder-steps", "--learning-rate-scale", "--rank-timeout-seconds"),
        *("--store", "--name", "--preset", "--batch", "--steps", "--masking-ratio", "--temperature", "--learning-rate"),
        *(
            "--projection-width",
            "--objective",
            "--gamma",
            "--gamma-decay-epochs",
            "--rho",
            "--temperature-learning-rate",
            "--optimizer",
            "--weight-decay",
            "--warmup-steps",
            "--schedule",
            "--max-frame-distance",
            "--resident",
            "--workers",
            "--precision",
            "--seed",
            "--checkpoint-every",
        ),
        *("--log-every", "--keep", "--check-store", "--check-task", "--check-every", "--on-sigusr1"),
        *("--input-scale", "--masking", "--clip-gradient-norm", "--init", "--json"),
    },
    "model.extract": {
        *(
            "dataset",
            "--json",
            "--checkpoint",
            "--out",
            "--to",
            "--hop",
            "--compat",
            "--window-frames",
            "--window-samples",
            "--tail",
            "--pool",
            "--engine",
            "--precision",
        ),
        *("--layer", "--scheduler", "--workers", "--patches", "--input-scale"),
        *("--tls-ca-file", "--tls-cert", "--tls-key"),
    },
    "model.export": {
        *("--from", "--with-probe", "--int8", "--json"),
        *(
            "what",
            "--checkpoint",
            "--out",
            "--store",
            "--precision",
            "--input",
            "--window-frames",
            "--largest",
            "--usual",
        ),
        *("--patches", "--input-scale"),
    },
    "model.metrics": {"runs", "--to", "--json"},
    "model.models": {"--json"},
    "model.probe": {
        *("--scheduler", "--workers", "--tls-ca-file", "--tls-cert", "--tls-key"),
        *(
            "dataset",
            "--json",
            "--task",
            "--features",
            "--grid",
            "--train-groups",
            "--draws",
            "--checkpoint",
            "--store",
        ),
        *("--layer", "--head", "--dropout"),
    },
    "model.predict": {"source", "--probe", "--out", "--average-transpositions", "--json"},
    "model.compare": {"datasets", "--run", "--name", "--json"},
    "model.align": {
        *("--audio", "--text", "--text-encoder", "--objective", "--hidden", "--width", "--batch", "--epochs"),
        *("--learning-rate", "--weight-decay", "--seed", "--name", "--store", "--temperature", "--gamma", "--rho"),
        *("--temperature-learning-rate", "--gamma-decay-epochs", "--json"),
    },
    "model.search": {
        *("embeddings", "query", "--at", "--between", "--duplicates", "--count", "--exclude-same-album", "--playlist"),
        *("--index", "--checkpoint", "--json", "--text", "--text-embedding", "--alignment"),
    },
    "model.report": {"datasets", "--json", "--features", "--run", "--name", "--map", "--store", "--audio", "--quoted"},
    "dags.train_key": {"data", "--root", "--checkpoint", "--head", "--clips", "--out", "--workers", "--draw", "--json"},
    "dags.demo": {"--clips", "--train-steps", "--batch", "--seed", "--name", "--grid", "--draw", "--json"},
    "dags.pretrain": {"dataset", "--draw", "--json", "--ingest", "--train"},
    "dags.doctor": {"--json"},
    "dags.serve": {
        *("--embeddings", "--probe", "--checkpoint", "--tracks", "--host", "--port", "--allow-host", "--allow-origin"),
        *(
            "--max-megabytes",
            "--max-seconds",
            "--upload-seconds",
            "--decode-seconds",
            "--workers",
            "--queue",
            "--token",
        ),
    },
    "dags.key": {
        *("folder", "--probe", "--out", "--checkpoint", "--key-format", "--average-transpositions", "--pool"),
        *("--window-frames", "--hop", "--workers", "--draw", "--json"),
    },
    "dags.embed": {
        *(
            "folder",
            "--checkpoint",
            "--out",
            "--pool",
            "--hop",
            "--compat",
            "--window-frames",
            "--window-samples",
            "--labels",
            "--max-seconds",
            "--decode-seconds",
            "--patches",
            "--input-scale",
            "--tail",
            "--engine",
            "--precision",
            "--layer",
        ),
        *("--dtype", "--workers", "--draw", "--json"),
    },
    "dags.explore": {
        *(
            "folder",
            "--checkpoint",
            "--labels",
            "--split",
            "--seed",
            "--audio",
            "--name",
            "--workers",
            "--draw",
            "--json",
        ),
    },
    "dags.findings": {
        *("--soundfont", "--test-soundfont", "--root", "--clips", "--clips-seen", "--seeds", "--minutes", "--out"),
        *("--draw", "--json"),
    },
    "dags.evidence": {
        "study",
        "--soundfont",
        "--rendered-clips",
        "--root",
        "--checkpoint",
        "--name",
        "--train-steps",
        "--seed",
        "--out",
        "--draw",
        "--json",
    },
    "dags.sweep": {
        *("--store", "--over", "--probe", "--name", "--train", "--draw", "--json"),
        *("--scheduler", "--workers", "--tls-ca-file", "--tls-cert", "--tls-key"),
    },
    "dags.benchmark": {"datasets", "--checkpoint", "--features", "--grid", "--splits", "--root", "--draw", "--json"},
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_accept_the_promised_flags(command, capsys):
    with pytest.raises(SystemExit) as exit_info:
        importlib.import_module(command).main(["--help"])
    assert exit_info.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: python -m {command} ")
    flags = set(re.findall(r"^[│ ]{1,2}(--[a-z][a-z0-9-]*)", printed, re.MULTILINE)) - {"--help"}
    promised = {name for name in COMMANDS[command] if name.startswith("--")} - FLAGS_OF_OTHER_COMMANDS
    assert flags == promised | {"--config", "--quiet"}


def test_every_command_is_listed():
    commands = {module for module, tree in TREES.items() if _is_command(tree)}
    assert commands == set(COMMANDS)


PUBLIC_NAMES = {
    "stores.chunk_grid": "ChunkGrid MIN_REGIONS MIN_REGION_FRAMES MAX_REGIONS Region pack_in_order plan_regions",
    "stores.commit": (
        "atomic_write is_running read_bounded remove_leftovers remove_temporary_files sync_to_disk write_bytes "
        "write_json"
    ),
    "stores.csv_cells": "escape",
    "stores.extras": "EXTRAS error_of remedy require",
    "stores.errors": (
        "DecodeError CorruptArtifact DigestMismatch InvalidInput MissingArtifact MynaError REJECTION_REASONS "
        "STATUS_HUNG_UP STATUS_INTERRUPTED STATUS_STOPPED StepStopped StoppedBySignal exit_status"
    ),
    "stores.command_line": (
        "CheckedSettings CommandSettings MAX_CONFIG_BYTES SettingDescription Settings describe parse require_finite "
        "run_command shown split_words"
    ),
    "stores.json_output": "collect print_json text_to_standard_error",
    "stores.json_codec": "JsonSettings MAX_DEPTH MAX_REPORTED_ERRORS Settings from_json parse_json read_json",
    "stores.feature_parts": "FeatureParts",
    "stores.feature_tables": "KINDS LABEL_PREFIX times write",
    "stores.feature_array": (
        "ARRAY_METADATA CHUNK_ROWS EmbeddingsWriter MAX_BYTES MAX_METADATA_BYTES MAX_WIDTH METADATA "
        "find_missing_chunks is_accepted_shape read_attributes read_embeddings require_array"
    ),
    "stores.feature_axes": "Axis TOKEN_COLUMNS axis_of reject_axis",
    "stores.feature_digest": "hashed of_data",
    "stores.feature_layers": "join_layers select_layers",
    "stores.feature_integrity": "SUFFIX find_damage is_feature_store",
    "stores.feature_labels": "describe_changes join open_mel_store",
    "stores.features": (
        "AXIS_VERSION CLIPS FORMAT_VERSION FeatureStore FeatureWriter Spans UNCHECKED_VERSION read_mel_store "
        "read_provenance record_mel_store repeat_clips require_finite"
    ),
    "stores.digest": "codes_digest diff_settings digest digest_with_clips",
    "stores.key_names": (
        "FLATS Key KeyFormat SHARPS key_name parse_key parse_keys spellings transpose_key transpose_label"
    ),
    "stores.labels": "EMPTY_WORDS SEPARATOR count_noun is_empty_word join_tags split_tags tidy_tags",
    "stores.locations": (
        "ENCODER_FILE FoundCheckpoint MAX_LISTED_RUNS REMOTE REPORTS RUNS STORES STORE_SUFFIX beside_store "
        "data_root dataset_of encoder_of_run feature_store find_checkpoint layer_scores mel_store "
        "only_finished_run report run scores shards store_of_shards store_path sweep validate_name"
    ),
    "stores.lock": "lock_file write_lock",
    "stores.arrow_columns": (
        "ColumnCache Columns GROUP_ROWS MAX_KEPT_GROUPS ParquetColumns TableColumns plain_schema read_buffer "
        "require_columns to_plain"
    ),
    "stores.arrow_rows": "ArrowRows MAX_ROW_OBJECTS Row",
    "stores.manifest": (
        "ClipRow ClipRows SCHEMA SCHEMA_3 STATES add_missing_columns assign_regions clips_for_digest "
        "count_states distinct_labels from_table "
        "group_by_recording label_values merge planned_regions read reset_to_planned to_table total_frames was_planned "
        "values_of was_rejected write"
    ),
    "stores.manifest_checks": "MAX_FRAMES find_problem",
    "stores.mapped_array": "BLOCK_BYTES MAX_RAM_BYTES blocks empty take",
    "stores.mel_array": ("ARRAY_METADATA MAX_METADATA_BYTES create_array find_metadata_damage open_array write_shard"),
    "stores.mel_attributes": (
        "FORMAT_VERSION MAX_ZARR_SHARD_BYTES METADATA UPGRADED_VERSION VALUES_VERSION read read_any_version read_grid "
        "value_settings"
    ),
    "stores.mel_store_integrity": (
        "Damage find_damage find_metadata_damage restore_metadata restore_region stored_regions"
    ),
    "stores.mel_store_upgrade": "MAX_ATTRIBUTES_BYTES require_present_version upgrade",
    "stores.main_module": "leave_out require_imported_once",
    "stores.mel_flags": (
        "DEFAULT_RESAMPLER FLAGS ResamplerName changed_ingest_flags describe_differences flags_to_continue "
        "ingest_flags resampler_name"
    ),
    "stores.mel_spec": "MelSpec",
    "stores.mel_store": "MANIFEST MelStore PARTS",
    "stores.npy": "VERSION read read_header write",
    "stores.progress": "PLAIN_SECONDS Progress",
    "stores.quantize": "Codes CodeSlices Quantizer",
    "stores.shard_integrity": (
        "MAX_RECORD_BYTES find_damage find_recorded_shards find_staleness record_shard recorded_store remove_records"
    ),
    "stores.shard_tar": "ShardTar",
    "stores.safetensors_header": ("FLOAT_TYPES MAX_HEADER_BYTES SafetensorsHeader TensorEntry read sort_metadata"),
    "stores.shards": (
        "FORMAT_VERSION MAX_INDEX_BYTES MAX_STORE_CLIPS Record ShardSet ShardSummary add_member decode_record "
        "remove_shards require_consistent shard_name write_shard"
    ),
    "stores.remote_link": (
        "LINK MAX_LINK_BYTES MAX_METADATA_BYTES connect has_file is_url list_files name_of open_file publish remove "
        "require_local size_of sizes_of split store_path url_of"
    ),
    "stores.object_storage": (
        "MIN_BYTES_PER_SECOND READ_BYTES SCHEMES StoredObject TIMEOUT_SECONDS changed_error delete describe "
        "list_objects open_object replace storage usual_scheme write"
    ),
    "stores.remote_copy": "FRAMES MAX_CONNECTIONS RECORD CopySummary RemoteCopy",
    "stores.stop_signals": "is_usual stop_on_signals",
    "stores.terminal": "MAX_COLUMNS flush_output is_quiet print_progress protect_output quiet terminal_columns",
    "stores.terminal_table": "terminal_table",
    "stores.sweep_file": "FORMAT_VERSION MAX_BYTES Sweep SweepPoint SweepScore read read_all write",
}


def _public_names(tree):
    defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        defined |= {inner.id for t in targets if t is not None for inner in ast.walk(t) if isinstance(inner, ast.Name)}
    return {name for name in defined if not name.startswith("_")}


def test_public_names_of_stores_are_the_listed_ones():
    public_names = {module: _public_names(tree) for module, tree in TREES.items() if module.startswith("stores.")}
    assert public_names == {module: set(names.split()) for module, names in PUBLIC_NAMES.items()}


JSON_READERS = {"stores.json_codec", "pipeline.ingestion.subprocess_decode", "model.inference.export"}
"""Modules that may parse JSON: the one reader, and two that read what a process of the same command has written."""


def test_json_is_parsed_by_one_reader_with_bounds():
    parsing = {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("json.load", "json.loads")
    }
    assert parsing == JSON_READERS
