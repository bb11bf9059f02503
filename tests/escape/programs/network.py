"""Sockets of every kind, towards listeners that the test has open."""

import os
import socket

from escape.attack import closed_here, everywhere, limited
from escape.prelude import HOST


def connect_to_the_loopback():
    return socket.create_connection(("127.0.0.1", HOST["tcp"]), 1).getpeername()


def connect_to_any_address():
    return socket.create_connection(("0.0.0.0", HOST["tcp"]), 1).getpeername()


def connect_over_ipv6():
    return socket.create_connection(("::ffff:127.0.0.1", HOST["tcp"]), 1).getpeername()


def connect_by_asyncio():
    import asyncio

    return asyncio.run(asyncio.open_connection("127.0.0.1", HOST["tcp"]))


def connect_by_http():
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", HOST["tcp"], timeout=1)
    connection.connect()
    return "connected"


def send_a_datagram():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"out", ("127.0.0.1", HOST["udp"]))


def connect_to_a_socket_file():
    s = socket.socket(socket.AF_UNIX)
    s.connect(HOST["unix"])
    return s.getpeername()


def send_to_a_socket_file():
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"out", HOST["unix_datagram"])


def connect_to_an_abstract_socket():
    s = socket.socket(socket.AF_UNIX)
    s.connect("\0" + HOST["abstract"])
    return s.getpeername()


def send_to_an_abstract_socket():
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"out", "\0" + HOST["abstract_datagram"])


def send_from_a_pair_to_a_socket_file():
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return one.sendto(b"out", HOST["unix_datagram"])


def send_from_a_pair_to_an_abstract_socket():
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return one.sendto(b"out", "\0" + HOST["abstract_datagram"])


def reconnect_one_of_a_pair():
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.connect(HOST["unix_datagram"])
    return one.send(b"out")


def pair_of_packets():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


@everywhere
def reconnect_the_frame_socket():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=os.dup(3))
    try:
        s.connect(HOST["unix"])
    finally:
        s.detach()
    return "reconnected"


@everywhere
def send_from_the_frame_socket_elsewhere():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=os.dup(3))
    try:
        s.sendto(b"out", HOST["unix_datagram"])
    finally:
        s.detach()
    return "sent"


def raw_socket():
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


def packet_socket():
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)


def netlink_socket():
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)


@closed_here("a kernel may be built without it")
def kernel_crypto_socket():
    return socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)


def machine_socket():
    return socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)


def listen():
    return socket.create_server(("127.0.0.1", 0)).getsockname()


def listen_on_a_socket_file():
    s = socket.socket(socket.AF_UNIX)
    s.bind("mine.sock")
    s.listen()
    return "listening"


def listen_on_an_abstract_socket():
    s = socket.socket(socket.AF_UNIX)
    s.bind(f"\0toolweft-{os.getpid()}")
    s.listen()
    return "listening"


@limited(wall=3.0)
def resolve_a_name():
    return socket.getaddrinfo(socket.gethostname() or "localhost", HOST["tcp"])


def list_the_interfaces():
    return socket.if_nameindex()


def change_an_option_of_the_frame_socket():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=3)
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    finally:
        s.detach()
    return "changed"


def ask_who_is_behind_the_frame_socket():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=3)
    try:
        return int.from_bytes(s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], "little") == HOST["parent"]
    finally:
        s.detach()


SURFACE = {"io_uring_setup": (4, 0), "accept4": (0, 0, 0, 0)}
