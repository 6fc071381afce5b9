#!/usr/bin/env python3
"""The limit: what a plain twisted.web server needs to give the same answer.

    bare.py PORT DIRECTORY

`PUT /` tells it an answer, which goes into a file.  Any other request is parsed as JSON if it
has a body, the answer is read from the page cache and written as JSON.  After `PUT /durable`
each request is appended to a journal and synced first, as one that changes something must be.
There is no account, no index, no login.
"""

import os
import pathlib
import sys

import msgspec
from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource
from twisted.web.server import Site


class Bare(Resource):
    isLeaf = True

    def __init__(self, directory: pathlib.Path) -> None:
        super().__init__()
        self.path = directory / "answer"
        self.journal = os.open(directory / "journal", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.durable = False
        self.is_json = False

    def render_PUT(self, request) -> bytes:
        answer = request.content.read()
        self.path.write_bytes(answer)
        self.file = os.open(self.path, os.O_RDONLY)
        self.length = len(answer)
        self.durable = request.path == b"/durable"
        self.is_json = request.getHeader("content-type") == "application/json"
        return b"{}"

    def render_GET(self, request) -> bytes:
        octets = os.pread(self.file, self.length, 0)
        request.setHeader("content-type", "application/octet-stream")
        return octets

    def render_POST(self, request) -> bytes:
        body = request.content.read()
        if self.is_json and body:
            msgspec.json.decode(body)
        if self.durable:
            os.write(self.journal, body)
            os.fdatasync(self.journal)
        octets = os.pread(self.file, self.length, 0)
        request.setHeader("content-type", "application/json")
        return msgspec.json.encode(msgspec.Raw(octets))


def main() -> None:
    site = Site(Bare(pathlib.Path(sys.argv[2])), parsePOSTFormSubmission=False)
    endpoints.TCP4ServerEndpoint(reactor, int(sys.argv[1]), interface="127.0.0.1").listen(site)
    reactor.run()


if __name__ == "__main__":
    main()
