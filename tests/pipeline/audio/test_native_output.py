"""What native libraries print reaches neither the terminal nor the warnings of another recording."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import irregular_audio as irregular
import pytest
import synthetic_audio

from pipeline.audio import libav, native_output, sndfile
from pipeline.audio.decode import decode
from pipeline.audio.native_output import NativeOutput

ROOT = Path(native_output.__file__).parents[2]


def test_output_inside_is_captured_and_output_outside_is_not(capfd):
    output = NativeOutput()
    os.write(2, b"before\n")
    with output.capture():
        os.write(2, b"Warning: inside\nNote: more\n")
    os.write(2, b"after\n")
    assert output.text() == "Warning: inside; Note: more"
    assert capfd.readouterr().err == "before\nafter\n"


def test_captures_are_separate_and_repeated_lines_are_told_once(capfd):
    first, second = NativeOutput(), NativeOutput()
    for output, line in ((first, b"a\n"), (second, b"b\n"), (first, b"a\n"), (first, b"c\n")):
        with output.capture():
            os.write(2, line)
    assert (first.text(), second.text()) == ("a; c", "b")


def test_lines_of_a_log_are_passed_on(capfd):
    output = NativeOutput()
    with output.capture():
        os.write(2, b"2026-11-29 10:11:12,123 - distributed.worker - INFO - x\nWarning: y\n")
    assert output.text() == "Warning: y"
    assert capfd.readouterr().err == "2026-11-29 10:11:12,123 - distributed.worker - INFO - x\n"


def test_standard_error_is_restored_after_an_error(capfd):
    with pytest.raises(ZeroDivisionError), NativeOutput().capture():
        _ = 1 / 0
    os.write(2, b"visible\n")
    assert capfd.readouterr().err == "visible\n"


def test_output_of_simultaneous_captures_is_given_to_none_of_them(capfd):
    outputs, barrier = [NativeOutput(), NativeOutput()], threading.Barrier(2)

    def print_inside(output):
        with output.capture():
            barrier.wait()
            os.write(2, b"Warning: whose?\n")
            barrier.wait()

    threads = [threading.Thread(target=print_inside, args=(output,)) for output in outputs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [output.text() for output in outputs] == ["", ""]
    assert capfd.readouterr().err == ""


def test_python_output_of_a_command_is_not_captured():
    code = (
        "import os, sys; from pipeline.audio.native_output import NativeOutput; from stores import terminal\n"
        "terminal.protect_output()\n"
        "with NativeOutput().capture():\n"
        "    os.write(2, b'Warning: native\\n'); print('progress', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr == "progress\n"


def test_a_process_without_standard_error_decodes(tmp_path):
    path = irregular.mp3(tmp_path / "x.mp3")
    code = (
        "import os, sys; from pathlib import Path; from pipeline.audio.decode import decode; os.close(2);"
        "print(len(decode(Path(sys.argv[1]), 16000).samples))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=ROOT, check=True)
    assert int(done.stdout) == 32_000


def test_nothing_of_libmpg123_reaches_the_terminal(tmp_path, capfd):
    """The tag at the end makes the size in the length header wrong by 20 %, which libmpg123 reports."""
    tagged = irregular.mp3(tmp_path / "x.mp3")
    irregular.change(tagged, tagged.read_bytes() + b"TAG" + bytes(8_000))
    audio = decode(tagged, 16_000)
    assert (audio.decoder, audio.warnings, audio.decoder_warnings) == (sndfile.version(), (), "")
    assert capfd.readouterr().err == ""


def test_what_libmpg123_prints_becomes_the_warning_of_the_recording(tmp_path, monkeypatch, capfd):
    path = irregular.insert(irregular.plain_mp3(tmp_path / "x.mp3"), bytes(500))
    for decoder in (libav, sndfile):
        monkeypatch.setattr(decoder, "supports", lambda head, supported=decoder is sndfile: supported)
    monkeypatch.setattr("pipeline.audio.ffmpeg.supports", lambda head: False, raising=False)
    decoder = sndfile.FileDecoder(path, _FOREVER)
    assert sum(len(block) for block in decoder.blocks()) > 80_000
    assert "Illegal Audio-MPEG-Header 0x00000000" in decoder.messages
    assert capfd.readouterr().err == ""


class _Forever:
    def require_remaining(self):
        """Never raise."""


_FOREVER = _Forever()


def test_a_disabled_capture_changes_nothing(tmp_path):
    code = (
        "import os; from pipeline.audio import native_output; native_output.disable()\n"
        "output = native_output.NativeOutput()\n"
        "with output.capture(): os.write(2, b'last words')\n"
        "assert output.text() == ''"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, check=True)
    assert done.stderr == b"last words"


def test_threads_that_decode_at_once_leave_standard_error_as_it_was(tmp_path, capfd):
    path = irregular.mp3(tmp_path / "x.mp3")
    lengths = []
    threads = [threading.Thread(target=lambda: lengths.append(decode(path, 16_000).total_samples)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"visible\n")
    assert lengths == [32_000] * 6
    assert capfd.readouterr().err == "visible\n"
    assert len(synthetic_audio.sine(440)) == 16_000
