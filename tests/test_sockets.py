"""Listening sockets: all of them, or one message about each that cannot be had."""

import socket

import pytest
from twisted.internet import reactor

from mailhive.config.endpoints import Inherited, SocketAddress
from mailhive.sockets import ListenError, open_sockets


def close(sockets: dict[str, list[socket.socket]]) -> None:
    for sock in (sock for group in sockets.values() for sock in group):
        sock.close()


def test_sockets_listen() -> None:
    opened = open_sockets(
        {"a": [SocketAddress("127.0.0.1", 0), SocketAddress("::1", 0)], "b": []}, reactor
    )
    assert [sock.family for sock in opened["a"]] == [socket.AF_INET, socket.AF_INET6]
    assert not opened["b"]
    for sock in opened["a"]:
        assert not sock.getblocking()
        socket.create_connection(sock.getsockname()[:2]).close()
    close(opened)


def test_every_address_in_use_is_told() -> None:
    taken = open_sockets({"first": [SocketAddress("127.0.0.1", 0)] * 2}, reactor)
    ports = [sock.getsockname()[1] for sock in taken["first"]]
    with pytest.raises(ListenError) as caught:
        open_sockets(
            {"mx": [SocketAddress("127.0.0.1", ports[0])], "b": [SocketAddress("::1", 0)]}
            | {"web": [SocketAddress("127.0.0.1", ports[1])]},
            reactor,
        )
    assert str(caught.value).splitlines() == [
        f'listener "mx": cannot listen on 127.0.0.1:{ports[0]}: Address already in use',
        f'listener "web": cannot listen on 127.0.0.1:{ports[1]}: Address already in use',
    ]
    close(taken)


def test_ipv6_leaves_ipv4_to_who_asks_for_it() -> None:
    def only(other: list[SocketAddress]) -> int:
        opened = open_sockets({"a": [SocketAddress("::", 0)], "b": other}, reactor)
        value = opened["a"][0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        close(opened)
        return value

    assert only([]) == 0
    assert only([SocketAddress("127.0.0.1", 0)]) == 1


def test_systemd_passed_nothing() -> None:
    with pytest.raises(ListenError) as caught:
        open_sockets({"mx": [Inherited("smtp"), Inherited("0")]}, reactor)
    assert str(caught.value).splitlines() == [
        'listener "mx": cannot listen on systemd:smtp: systemd passed no such socket',
        'listener "mx": cannot listen on systemd:0: systemd passed no such socket',
    ]
