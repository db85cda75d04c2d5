"""Settings on a command line: each is declared once, as a field of a frozen dataclass.

    @dataclass(frozen=True, kw_only=True)
    class ShardSettings(CommandSettings):
        \"\"\"Convert a mel store to WebDataset shards.\"\"\"          # the description of the command
        seed: Annotated[int, Ge(0)] = 0                            # the default, and the range that is accepted
        \"\"\"Seed of the shuffle of all clips.\"\"\"                   # the help text

Flags, `--help`, `--config FILE`, error messages and the tables of the documentation come from the class. Nested
dataclasses are groups of flags. Nothing here imports a room, so `--help` stays fast; a command imports its rooms in
`main`.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import inspect
import itertools
import math
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import tyro
from annotated_types import Ge, Gt, Le, Lt

from stores import extras, main_module, stop_signals, terminal
from stores.errors import InvalidInput, exit_status
from stores.json_codec import read_json
from stores.json_output import text_to_standard_error

MAX_CONFIG_BYTES = 1 << 20
_SPINS = "10000"
"""Turns for which a thread of OpenMP waits in a loop before it sleeps. Its own default is 300,000, with which training
beside other work took two to three times as long (docs/log.md). It must be set before PyTorch is imported."""
_SYSTEMS = ("linux", "darwin")
"""Systems without a note: Linux is tested, and macOS is expected to work."""
_WORDS = {Ge: "at least", Gt: "more than", Le: "at most", Lt: "less than"}
_HOLDS: Mapping[type, Callable[[Any, Any], bool]] = {
    Ge: lambda value, bound: value >= bound.ge,
    Gt: lambda value, bound: value > bound.gt,
    Le: lambda value, bound: value <= bound.le,
    Lt: lambda value, bound: value < bound.lt,
}
_STYLE = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff, tyro.conf.HelptextFromCommentsOff)
Settings = TypeVar("Settings", bound="CommandSettings")


def shown(metavar: str, default: str = "", name: str | None = None) -> Any:
    """Return the annotation that names a field's value in `--help`, and states its default in words if it is None.

    `name` is the flag of a field that cannot have its name, because it is a word of Python, such as `from_`.
    """
    hint = f"(default: {default})" if default else None
    return tyro.conf.arg(name=name, metavar=metavar, help_behavior_hint=hint)


@dataclass(frozen=True, kw_only=True)
class CheckedSettings:
    """Settings whose ranges are checked when they are built.

    Raises:
        InvalidInput: a number is outside of the range that its annotation states, or is not finite.
    """

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self), include_extras=True)
        for field in fields(self):
            for value in _numbers(getattr(self, field.name)):
                _require_within(field.name, value, _bounds(hints[field.name]))


@dataclass(frozen=True, kw_only=True)
class CommandSettings(CheckedSettings):
    """The settings that every command has."""

    config: Annotated[Path | None, shown("FILE", "none")] = None
    """JSON file with settings by name, for example {"seed": 1}. Flags on the command line take precedence."""
    quiet: bool = False
    """Write no progress. Results, notes and errors are written."""

    @classmethod
    def values_of_file(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the settings by name that the content of a `--config` file stands for."""
        return values


class SettingDescription(NamedTuple):
    """One setting as the documentation lists it."""

    flag: str
    """Flag with its dashes, or the name of a positional argument."""
    meaning: str
    """Docstring of the field."""
    default: str
    """Default in words."""
    limits: str
    """Accepted range in words; empty if every value of the type is accepted."""


def run_command(
    kind: type[Settings],
    arguments: Sequence[str] | None,
    command: str,
    body: Callable[[Settings], None],
    epilog: str = "",
) -> int:
    """Parse the command line, run `body` with the settings, and return the exit status.

    Args:
        kind: the settings of the command.
        arguments: words of the command line (default: those of this process).
        command: name of the module, for example `pipeline.ingest`.
        body: the work.
        epilog: text below the options in `--help`.
    """
    main_module.require_imported_once(command)
    terminal.protect_output()
    _note_untested_system()
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    try:
        with main_module.leave_out(), stop_signals.stop_on_signals():
            return exit_status(lambda: _run(body, parse(kind, arguments, command, epilog)))
    finally:
        terminal.flush_output()


@functools.cache
def _note_untested_system() -> None:
    """Say once in a process that its operating system is untested, if it is neither Linux nor macOS."""
    if sys.platform not in _SYSTEMS:
        print(f"note: Myna is tested on Linux only, and this system is {sys.platform}", file=sys.stderr)


def _run(body: Callable[[Settings], None], settings: Settings) -> None:
    """Run a command. With --json, only JSON goes to standard output. With --quiet, no progress is written."""
    with terminal.quiet(settings.quiet), text_to_standard_error(bool(getattr(settings, "json", False))):
        try:
            body(settings)
        except ModuleNotFoundError as error:
            if missing := extras.error_of(error):
                raise missing from error
            raise


def parse(kind: type[Settings], arguments: Sequence[str] | None, command: str, epilog: str = "") -> Settings:
    """Return the settings that a command line states.

    Ends the process with status 0 after `--help` and `--version`, and with status 2 if the command line is not
    understood.

    Raises:
        InvalidInput: a value is out of range, or `--config` names a file that cannot be used.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:
        print(f"{command} of myna {importlib.metadata.version('myna')}")
        sys.exit(0)
    words = [*_config_words(kind, words), *words]
    description = "\n\n".join(filter(None, (inspect.cleandoc(kind.__doc__ or ""), epilog)))
    settings: Settings = tyro.cli(kind, prog=f"python -m {command}", description=description, args=words, config=_STYLE)
    return settings


def describe(kind: type[CheckedSettings]) -> list[SettingDescription]:
    """Return every setting of a command for the documentation, in the order of its help."""
    return [
        SettingDescription(_flag(field), _docstring(owner, field), _default(owner, field), _limits(owner, field))
        for owner, field in _all_fields(kind)
    ]


def split_words(arguments: Sequence[str] | None, flags: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Split a command line at flags whose words are for other commands.

    Args:
        arguments: words of the command line (default: those of this process).
        flags: each takes all words after it, up to the next of these flags.

    Returns:
        The words before the first of the flags, and the words after each flag.
    """
    own, words, current = list[str](), {flag: list[str]() for flag in flags}, ""
    for word in sys.argv[1:] if arguments is None else arguments:
        if word in words:
            current = word
        else:
            (words[current] if current else own).append(word)
    return own, words


def require_finite(name: str, value: float) -> None:
    """Check that a setting is a finite number.

    Raises:
        InvalidInput: it is NaN or infinite.
    """
    if not math.isfinite(value):
        raise InvalidInput(f"--{name.replace('_', '-')} must be a finite number (got {value})")


def _numbers(value: object) -> Iterator[int | float]:
    values = value if isinstance(value, tuple) else (value,)
    yield from (one for one in values if isinstance(one, int | float) and not isinstance(one, bool))


def _require_within(name: str, value: float, bounds: Sequence[Any]) -> None:
    require_finite(name, value)
    if not all(_HOLDS[type(bound)](value, bound) for bound in bounds):
        raise InvalidInput(f"--{name.replace('_', '-')} must be {_in_words(bounds)} (got {value})")


def _bounds(hint: Any) -> list[Any]:
    """Return the bounds in an annotation, also those of the items of a tuple or of an optional value."""
    own = [one for one in get_args(hint)[1:] if type(one) in _WORDS] if get_origin(hint) is Annotated else []
    return own + [bound for inner in get_args(hint) for bound in _bounds(inner)]


def _in_words(bounds: Sequence[Any]) -> str:
    values = {Ge: "ge", Gt: "gt", Le: "le", Lt: "lt"}
    return " and ".join(f"{_WORDS[type(one)]} {getattr(one, values[type(one)])}" for one in bounds)


def _config_words(kind: type[CommandSettings], words: Sequence[str]) -> list[str]:
    """Return the settings of `--config FILE` as words that come before those that were typed."""
    path = _config_path(words)
    if path is None:
        return []
    if not path.is_file():
        raise InvalidInput(f"--config {path} is not a file; give a JSON file with settings by name")
    known = {field.name: field for _, field in _all_fields(kind) if _flag(field).startswith("--")}
    content = kind.values_of_file(read_json(path, MAX_CONFIG_BYTES))
    values = {name.replace("-", "_"): value for name, value in content.items()}
    if unknown := sorted(values.keys() - known.keys()):
        raise InvalidInput(f"{path} has unknown settings {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    typed = {word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")}
    chosen = {name: value for name, value in values.items() if _flag(known[name]) not in typed}
    return [word for name, value in chosen.items() for word in _words_of(known[name], value, path)]


def _config_path(words: Sequence[str]) -> Path | None:
    for place, word in enumerate(words):
        if word.startswith("--config="):
            return Path(word.partition("=")[2])
        if word == "--config" and place + 1 < len(words):
            return Path(words[place + 1])
    return None


def _words_of(field: Field[Any], value: object, path: Path) -> list[str]:
    """Return a setting of a JSON file as words of a command line."""
    flag = _flag(field)
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        repeated = "UseAppendAction" in str(field.type)
        return [f"{flag}={one}" for one in value] if repeated else [flag, *map(str, value)]
    if isinstance(value, str | int | float):
        return [f"{flag}={value}"]
    raise InvalidInput(f"{path}: {field.name} is {value!r}; a string, a number, true, false or an array is needed")


def _all_fields(kind: type) -> Iterator[tuple[type, Field[Any]]]:
    """Yield every setting with the class that declares it, those of nested dataclasses in their place."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        inner = hints[field.name]
        if isinstance(inner, type) and is_dataclass(inner):
            yield from _all_fields(inner)
        else:
            yield kind, field


def _flag(field: Field[Any]) -> str:
    name = field.name.rstrip("_").replace("_", "-")
    return name if "Positional" in str(field.type) else f"--{name}"


def _docstring(owner: type, field: Field[Any]) -> str:
    """Return the string below a field in the source of the class that declares it."""
    for kind in owner.__mro__:
        if field.name in vars(kind).get("__annotations__", {}):
            body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0].body  # type: ignore[attr-defined]
            for node, after in itertools.pairwise(body):
                if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == field.name:
                    return " ".join(ast.literal_eval(after.value).split())
    return ""


def _default(owner: type, field: Field[Any]) -> str:
    """Return the default of a setting in words."""
    hint = get_type_hints(owner, include_extras=True)[field.name]
    for one in get_args(hint)[1:]:
        if words := getattr(one, "help_behavior_hint", None):
            return str(words).strip("()").removeprefix("default: ")
    if field.default is MISSING:
        return "required"
    if isinstance(field.default, bool):
        return "no"
    values = field.default if isinstance(field.default, tuple) else (field.default,)
    return " ".join(map(str, values)) or "none"


def _limits(owner: type, field: Field[Any]) -> str:
    return _in_words(_bounds(get_type_hints(owner, include_extras=True)[field.name]))
