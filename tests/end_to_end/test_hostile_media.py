"""Media that refer to other files or hosts: no other file is opened, no connection is made, and no canary leaks."""

from __future__ import annotations

import contextlib
import re
import shutil
import struct
import subprocess

import numpy as np
import pytest
import synthetic_audio
from network_traps import Ports, WatchedFolder

from pipeline import ingest
from pipeline.audio import ffmpeg, inspect
from stores.mel_store import MelStore

MARK = "canary-7f3a91"
CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref")


@pytest.fixture
def traps(tmp_path):
    """Yield a folder with canary files, a folder for hostile files, the watch on the canaries, and the ports."""
    secret, music = tmp_path / "secret", tmp_path / "music"
    music.mkdir()
    for name in ("canary.wav", "canary.flac", "canary.mp3"):
        synthetic_audio.write(secret / name, synthetic_audio.sine(1234, 2.0))
    (secret / "canary.txt").write_text(MARK)
    ports, watched = Ports(), WatchedFolder(secret)
    watched.take_opened_names()
    yield secret, music, watched, ports
    watched.close()
    ports.close()


def _playlists(secret, port):
    """Return texts that tell a player to read another file or URL, by kind."""
    texts = {}
    targets = {
        "absolute": f"{secret}/canary.mp3",
        "relative": "../secret/canary.mp3",
        "file": f"file://{secret}/canary.mp3",
        "text": f"{secret}/canary.txt",
        "http": f"http://127.0.0.1:{port}/{MARK}.mp3",
        "tcp": f"tcp://127.0.0.1:{port}",
        "subfile": f"subfile,,start,0,end,9999,,:{secret}/canary.mp3",
        "concat": f"concat:{secret}/canary.mp3|{secret}/canary.txt",
        "crypto": f"crypto:{secret}/canary.mp3",
        "cache": f"cache:http://127.0.0.1:{port}/x.mp3",
    }
    for kind, target in targets.items():
        texts[f"hls-{kind}"] = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n"
        texts[f"ffconcat-{kind}"] = f"ffconcat version 1.0\nfile '{target}'\n"
    url = targets["http"]
    texts |= {
        "hls-key": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXTINF:2,\n{targets["absolute"]}\n',
        "hls-master": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}\n",
        "hls-data": "#EXTM3U\n#EXTINF:2,\ndata:audio/mpeg;base64,SUQzBAAAAAAAAA==\n#EXT-X-ENDLIST\n",
        "hls-behind-id3": "ID3\4\0\0\0\0\0\0" + f"#EXTM3U\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n",
        "m3u": f"{targets['absolute']}\n{url}\n",
        "pls": f"[playlist]\nFile1={url}\nNumberOfEntries=1\n",
        "asx": f'<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
        "xspf": f'<playlist xmlns="http://xspf.org/ns/0/"><track><location>{url}</location></track></playlist>',
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
        "dash": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{url}</BaseURL></MPD>',
        "imf": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"/>',
        "xml-entity": f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY y SYSTEM "{secret}/canary.txt">]><MPD>&y;</MPD>',
        "cue": f'FILE "{targets["absolute"]}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
        "lavfi": f"amovie={targets['absolute']}",
        "avisynth": f'DirectShowSource("{targets["absolute"]}")',
        "rtsp": f"RTSPtextRTSP://127.0.0.1:{port}/x",
        "mms": f"[Reference]\nRef1={url}\n",
        "vobsub": "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n",
        "ffmetadata": f";FFMETADATA1\ntitle={targets['absolute']}\n",
    }
    return texts


def _with_outside_data(m4a: bytes, target: str) -> bytes:
    """Return an MP4 file whose data reference states that the samples are in another file."""

    def rebuild(content):
        boxes = b""
        while content:
            size, kind = struct.unpack_from(">I4s", content)
            body = content[8:size]
            if kind == b"dref":
                path = target.encode() + b"\0"
                body = body[:8] + struct.pack(">I4sI", 12 + len(path), b"url ", 0) + path
            elif kind in CONTAINERS:
                body = rebuild(body)
            boxes += struct.pack(">I4s", 8 + len(body), kind) + body
            content = content[size:]
        return boxes

    start = m4a.index(b"moov") - 4  # the last box, so that no offset changes
    assert struct.unpack_from(">I", m4a, start)[0] == len(m4a) - start
    return m4a[:start] + rebuild(m4a[start:])


def _write_all(secret, music, port):
    """Write every text with every suffix, and other hostile files; return the names of those that are ingested."""
    for kind, text in _playlists(secret, port).items():
        for suffix in (".wav", ".mp3"):
            (music / f"{kind}{suffix}").write_bytes(text.encode("latin-1"))
    m4a = synthetic_audio.write(music / "own.m4a", synthetic_audio.sine(440, 2.0)).read_bytes()
    (music / "dref-path.m4a").write_bytes(_with_outside_data(m4a, f"{secret}/canary.wav"))
    (music / "dref-url.m4a").write_bytes(_with_outside_data(m4a, f"http://127.0.0.1:{port}/x"))
    for name in ("subfile,,start,0,end,9999,,:x.wav", "concat:x.wav", "data:audio;base64,SUQz.wav", "pipe:0.wav"):
        (music / name).write_text("no audio")
    for number in range(3):
        (music / f"image-00{number}.wav").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (music / "image-%03d.wav").write_text("no audio")
    (music / "fork.wav").write_text("no audio")
    names = {path.name for path in music.iterdir()}
    for companion in ("._fork.wav", "vobsub.sub", "vobsub.idx"):  # files that libraries look for on their own
        (music / companion).write_bytes(m4a)
    return names


@pytest.mark.slow
def test_the_traps_catch_a_player_without_restrictions(traps):
    """The other tests would prove nothing if the traps did not work."""
    secret, music, watched, ports = traps
    texts = _playlists(secret, ports.number)
    (music / "a.m3u8").write_text(texts["hls-absolute"])
    (music / "b.ffconcat").write_text(texts["ffconcat-http"])
    for name, options in (("a.m3u8", ["-allowed_extensions", "ALL"]), ("b.ffconcat", ["-f", "concat", "-safe", "0"])):
        command = [ffmpeg.executable(), "-nostdin", "-v", "error", "-protocol_whitelist", "file,http,tcp", *options]
        with contextlib.suppress(subprocess.TimeoutExpired):  # no server answers at the port
            subprocess.run([*command, "-i", str(music / name), "-f", "null", "-"], timeout=3)
    assert "canary.mp3" in watched.take_opened_names()
    assert ports.take_connection_count() > 0


@pytest.mark.slow
def test_an_ingest_of_hostile_media_opens_no_other_file_and_makes_no_connection(traps, tmp_path, capsys):
    secret, music, watched, ports = traps
    names = _write_all(secret, music, ports.number)
    assert len(names) > 70
    watched_music = WatchedFolder(music)
    watched_music.take_opened_names()
    words = ["folder", "--root", str(music), "--store", str(tmp_path / "m.zarr"), "--scheduler", "threads"]
    assert ingest.main([*words, "--workers", "2", "--decode-seconds", "30"]) == 0
    assert ports.take_connection_count() == 0
    assert watched.take_opened_names() == set()
    assert watched_music.take_opened_names() - names == set()
    watched_music.close()
    store = MelStore.open(tmp_path / "m.zarr")
    rows = {row.id: row for row in store.rows}
    assert set(rows) == names
    assert {name for name in names if rows[name].state == "written"} == {"own.m4a", "dref-path.m4a", "dref-url.m4a"}
    for name in ("dref-path.m4a", "dref-url.m4a"):  # the data reference is ignored
        np.testing.assert_array_equal(store.codes(rows[name].index), store.codes(rows["own.m4a"].index))
    output = capsys.readouterr().out + "".join(row.detail for row in rows.values())
    assert MARK not in output.replace(f"{MARK}.mp3", "")


@pytest.mark.slow
def test_ffmpeg_opens_only_the_file_itself_and_no_socket(traps, tmp_path):
    strace = shutil.which("strace")
    trial = strace and subprocess.run([strace, "-f", "true"], capture_output=True)
    if not trial or trial.returncode:
        pytest.skip("strace is not installed or not permitted")
    secret, music, _, ports = traps
    opens = 0
    for name in sorted(_write_all(secret, music, ports.number)):
        path, log = music / name, tmp_path / "log"
        for command in (ffmpeg.decode_command(path, 30), ffmpeg.inspect_command(path)):
            strace_command = [strace, "-f", "-o", str(log), "-e", "trace=open,openat,creat,connect,socket,sendto"]
            subprocess.run([*strace_command, *command], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
            calls = log.read_text(errors="replace")
            assert not re.findall(r"\b(?:connect|socket|sendto)\(.*", calls), name
            opened = re.findall(rf'open(?:at)?\([^"]*"({re.escape(str(tmp_path))}/[^"]*)"', calls)
            assert set(opened) <= {str(path)}, name
            opens += len(opened)
    print(f"{opens} openings, all of the files themselves, and no socket")
    assert opens


def test_reading_a_header_opens_no_companion_of_the_file(traps):
    secret, music, *_ = traps
    (music / "x.wav").write_bytes(b"no audio")
    shutil.copy(secret / "canary.wav", music / "._x.wav")
    watched = WatchedFolder(music)
    assert inspect.claimed_seconds(music / "x.wav") is None
    assert watched.take_opened_names() == {"x.wav"}
    watched.close()
