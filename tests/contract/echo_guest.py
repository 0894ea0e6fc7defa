"""A guest that sends back whatever it gets on its serial port: a boot sector and nothing else.

cli                   loop: mov dx, 0x3fd        the port's status
mov dx, 0x3f8         wait: in al, dx
mov al, '>'                 test al, 1           is there a byte?
out dx, al                  jz wait
                            mov dx, 0x3f8
                            in al, dx
                            out dx, al
                            jmp loop
"""

from __future__ import annotations

GREETING = ">"
_GREET = "fa ba f8 03 b0 3e ee"
_LOOP = "ba fd 03 ec a8 01 74 fb ba f8 03 ec ee eb f1"
_DISK_BYTES = 512 * 1024
"""A BIOS boots from no smaller disk."""


def echo_disk() -> bytes:
    """The raw disk that it boots from."""
    sector = bytes.fromhex(_GREET + _LOOP).ljust(510, b"\0") + b"\x55\xaa"
    return sector.ljust(_DISK_BYTES, b"\0")
