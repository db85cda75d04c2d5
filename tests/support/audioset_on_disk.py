"""A small AudioSet for tests: lists of ten segments in the official format, and their audio in common layouts."""

from __future__ import annotations

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq

MUSIC, GENRE, GUITAR, ROCK, SPEECH, GUSH = "/m/04rlf", "/m/0glt670", "/m/0342h", "/m/06by7", "/m/09x0r", "/t/dd00088"
CLASSES = [
    {"id": MUSIC, "name": "Music", "child_ids": [GENRE, "/m/04szw"], "restrictions": []},
    {"id": "/m/04szw", "name": "Musical instrument", "child_ids": [GUITAR]},
    {"id": GENRE, "name": "Music genre", "child_ids": [ROCK]},
    {"id": GUITAR, "name": "Guitar", "child_ids": []},
    {
        "id": ROCK,
        "name": "Rock, and roll",
        "child_ids": [GENRE],
    },  # a cycle: genre and rock contain each other
    {"id": SPEECH, "name": "Speech", "child_ids": []},
    {"id": GUSH, "name": "Gush", "child_ids": []},
]
# (YouTube id, start, end, labels). Two ids start with Y, two start with -, and several contain _.
SEGMENTS = {
    "balanced_train": [
        ("--PJHxphWEs", 30.0, 40.0, (SPEECH, GUSH)),
        ("Yfirstisa_Y", 0.0, 10.0, (MUSIC,)),
        ("YYtwo_ys_30", 20.0, 30.0, (GUITAR, SPEECH)),
    ],
    "unbalanced_train": [
        ("-minus_id_x", 470.0, 480.0, (ROCK,)),
        ("_______0123", 0.0, 5.12, (MUSIC, ROCK)),
        ("abcdefghijk", 30.0, 40.0, (SPEECH,)),
        ("zyxwvutsrqp", 30.0, 40.0, (GENRE,)),
    ],
    "eval": [
        ("0123456789_", 10.0, 20.0, (MUSIC,)),
        ("eval_clip-1", 30.0, 40.0, (SPEECH, GUITAR)),
        ("eval_clip-2", 30.0, 40.0, (GUSH,)),
    ],
}
ROWS = {youtube_id: row for rows in SEGMENTS.values() for youtube_id, *row in rows}
MUSIC_IDS = {youtube_id for youtube_id, (_, _, labels) in ROWS.items() if {MUSIC, GUITAR, ROCK, GENRE} & set(labels)}


def segments_text(rows):
    """Return the text of a CSV file of segments in the official format."""
    head = "# Segments csv created Sun Mar  5 10:54:25 2017\n# num_ytids=1\n"
    head += "# YTID, start_seconds, end_seconds, positive_labels\n"
    return head + "".join(f'{i}, {start:.3f}, {end:.3f}, "{",".join(mids)}"\n' for i, start, end, mids in rows)


def write_lists(folder):
    """Write the three CSV files and the ontology into `folder`, and return `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in SEGMENTS.items():
        (folder / f"{name}_segments.csv").write_text(segments_text(rows))
    (folder / "ontology.json").write_text(json.dumps(CLASSES))
    return folder


def write_file(path, size=100):
    """Write a file of `size` zero bytes with its folders, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


def write_tar(path, members):
    """Write a tar of zero bytes and return its path; a member is a name, or a pair of name and size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for member in members:
            name, size = (member, 100) if isinstance(member, str) else member
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, io.BytesIO(bytes(size)))
    return path


def write_parquet(path, ids, **settings):
    """Write a Parquet file with the columns of the Hugging Face hub, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    audio = [{"bytes": b"fLaC", "path": f"{youtube_id}.flac"} for youtube_id in ids]
    pq.write_table(pa.table({"video_id": ids, "audio": audio, "labels": [["x"]] * len(ids)}), path, **settings)
    return path


def _split_folder(youtube_id):
    name = next(name for name, rows in SEGMENTS.items() if youtube_id in {row[0] for row in rows})
    return name.replace("anced", "")


def _plain(root, ids):
    for youtube_id in ids:
        write_file(root / _split_folder(youtube_id) / f"{youtube_id}.flac")


def _panns(root, ids):
    for youtube_id in ids:
        write_file(root / "audios" / "segments" / f"Y{youtube_id}.wav")


def _downloader(root, ids):
    """Write files as audioset-download does: one folder for each label, with a copy of the file in each."""
    names = {entry["id"]: entry["name"] for entry in CLASSES}
    for youtube_id in ids:
        start, end, labels = ROWS[youtube_id]
        for label in labels:
            write_file(root / names[label] / f"{youtube_id}_{start}-{end}.ogg")


def _milliseconds(root, ids):
    for youtube_id in ids:
        write_file(root / f"{youtube_id}_{ROWS[youtube_id][0] * 1000:.0f}.M4A")


def _dcase(root, ids):
    for youtube_id in ids:
        start, end, _ = ROWS[youtube_id]
        write_file(root / f"Y{youtube_id}_{start:.3f}_{end:.3f}.wav")


def _flac_tars(root, ids):
    write_tar(root / "data" / "bal_train00.tar", [f"audio/bal_train/{i}.flac" for i in ids[:6]])
    write_tar(root / "data" / "eval00.tar", [f"audio/eval/{i}.flac" for i in ids[6:]])


def _webdataset(root, ids):
    for number, suffix in enumerate(("flac", "mp3")):
        members = [f"{i}.{ending}" for i in ids[number::2] for ending in ("json", suffix)]
        write_tar(root / "2m" / "train" / f"{number:04d}.tar", members)


def _parquet(root, ids):
    write_parquet(root / "data" / "bal_train" / "00.parquet", ids[:7], row_group_size=2)
    write_parquet(root / "data" / "eval" / "00.parquet", ids[7:])


def _mixed(root, ids):
    for number, layout in enumerate((_plain, _panns, _downloader, _flac_tars, _parquet)):
        layout(root, ids[number::5])


LAYOUTS = {
    "files": _plain,
    "PANNs": _panns,
    "label folders": _downloader,
    "milliseconds": _milliseconds,
    "DCASE": _dcase,
    "tars of flac": _flac_tars,
    "WebDataset": _webdataset,
    "Parquet": _parquet,
    "all at once": _mixed,
}
