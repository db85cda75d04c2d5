"""Traps for media that refer to other files or hosts: watched folders and listening ports.

The Linux kernel reports every opening of a file through inotify, whichever process opens it. Nothing has to be
installed, and no process can avoid it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
ACCESS, OPEN, IS_FOLDER = 0x1, 0x20, 0x40000000


class WatchedFolder:
    """A folder whose opened files are recorded by inotify."""

    def __init__(self, folder):
        self._descriptor = LIBC.inotify_init1(os.O_NONBLOCK)
        if self._descriptor < 0 or LIBC.inotify_add_watch(self._descriptor, os.fsencode(folder), ACCESS | OPEN) < 0:
            raise OSError(ctypes.get_errno(), "inotify is not available")

    def take_opened_names(self):
        """Return the names of the files that were opened or read since the last call."""
        names = set()
        with contextlib.suppress(BlockingIOError):
            while content := os.read(self._descriptor, 1 << 16):
                while content:
                    _, mask, _, length = struct.unpack_from("iIII", content)
                    name = os.fsdecode(content[16 : 16 + length].rstrip(b"\0"))
                    if not mask & IS_FOLDER:
                        names.add(name)
                    content = content[16 + length :]
        return names

    def close(self):
        os.close(self._descriptor)


class Ports:
    """A TCP and a UDP port of this machine with the same number."""

    def __init__(self):
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.number = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.number))
        self._tcp.setblocking(False)
        self._udp.setblocking(False)

    def take_connection_count(self):
        """Return the number of connections and datagrams since the last call."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self._tcp.accept()[0].close()
                count += 1
        with contextlib.suppress(BlockingIOError):
            while self._udp.recv(1 << 16):
                count += 1
        return count

    def close(self):
        self._tcp.close()
        self._udp.close()
