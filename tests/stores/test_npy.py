"""Headers of untrusted arrays: the claimed size must be exact before memory is allocated."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from stores import npy
from stores.npy import read_header


def _npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def _claiming(text, data=b""):
    header = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize("array", [np.zeros((3, 128), np.uint8), np.zeros((0, 2), np.int64), np.array(5.0)])
def test_the_header_of_a_plain_array_is_read_and_its_values_follow(array):
    content = b"before" + _npy(array) + b"after"
    file = io.BytesIO(content)
    file.seek(6)
    assert read_header(file, len(content) - 11) == (array.dtype, array.shape)
    assert file.read(array.nbytes) == array.tobytes()
    assert file.read() == b"after"


GOOD = _npy(np.zeros((3, 128), np.uint8))
SHAPED = "{{'descr': '|u1', 'fortran_order': False, 'shape': {}, }}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD[:-1], r"uint8 \(3, 128\) without objects needs 512 bytes, but there are 511"),
        (GOOD + b"x", "there are 513"),
        (_npy(np.asfortranarray(np.zeros((3, 4), np.uint8))), "in row order"),
        (_npy(np.array([None]), allow_pickle=True), "object"),
        (_claiming(SHAPED.format((2**40, 2**40))), "needs 1208925819614629174706304 bytes"),
        (_claiming(SHAPED.format((-1, -128)), bytes(128)), r"\(-1, -128\)"),
        (_claiming(SHAPED.format("(3, 128")), "header"),
        (_claiming(SHAPED.format("(((((((((((((((((((((((3,),),),)")), "header"),
        (_claiming("'"), "header"),
        (_claiming("__import__('os').remove('x')"), "malformed"),
        (_claiming("[" * 100), "header"),
        (b"\x93NUMPY\x03\x00" + GOOD[8:], r"format is \(3, 0\), and \(1, 0\) is needed"),
        (b"PK\x03\x04 a zip", "magic"),
        (b"", "magic|EOF"),
    ],
)
def test_a_header_with_a_wrong_claim_is_an_error(content, message):
    with pytest.raises(ValueError, match=message):
        read_header(io.BytesIO(content), len(content))


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_is_read_as_it_was_written(order):
    array = np.arange(12, dtype=">f4").reshape(3, 4, order=order)
    content = io.BytesIO()
    np.save(content, array)
    np.testing.assert_array_equal(npy.read(io.BytesIO(content.getvalue()), len(content.getvalue())), array)
    written = io.BytesIO()
    npy.write(written, array)
    np.testing.assert_array_equal(np.load(io.BytesIO(written.getvalue())), array)
