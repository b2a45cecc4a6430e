"""A DNS that answers as the test says, at once."""

import socket

import trio


class FakeNames(trio.abc.HostnameResolver):
    """Attributes: ips: what each name stands for; any other does not resolve. asked: every look-up, in order."""

    def __init__(self, ips: dict[str, list[str]]) -> None:
        self.ips = ips
        self.asked: list[str] = []

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):  # type: ignore[no-untyped-def]  # noqa: A002
        name = host.decode() if isinstance(host, bytes) else host
        self.asked.append(name)
        if name not in self.ips:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if not self.ips[name]:
            await trio.sleep_forever()
        return [_answer(ip, port, type, proto) for ip in self.ips[name]]

    async def getnameinfo(self, sockaddr, flags):  # type: ignore[no-untyped-def]
        raise NotImplementedError


def _answer(ip: str, port: int, kind: int, proto: int):  # type: ignore[no-untyped-def]
    if ":" in ip:
        return (socket.AF_INET6, kind, proto, "", (ip, port, 0, 0))
    return (socket.AF_INET, kind, proto, "", (ip, port))
