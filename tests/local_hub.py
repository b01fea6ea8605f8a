"""A small hub for tests: repositories in memory, spoken to by huggingface_hub over HTTP on this machine.

Every commit is a whole tree of files. Files are uploaded inline ("regular"), never by a storage protocol of its own.
"""

import base64
import hashlib
import json
import re
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    trees: dict = field(default_factory=dict)  # commit -> {path: bytes}
    branches: dict = field(default_factory=dict)
    tags: dict = field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def commit(self, files):
        content = b"".join(path.encode() + data for path, data in sorted(files.items()))
        oid = hashlib.sha1(content + str(len(self.trees)).encode()).hexdigest()
        self.trees[oid] = files
        self.branches["main"] = oid
        return oid

    def resolve(self, revision):
        return self.branches.get(revision) or self.tags.get(revision) or (revision if revision in self.trees else None)


class LocalHub:
    """The server: ``url``, the repositories by name, and what was asked of it."""

    def __init__(self):
        self.repositories = {}
        self.files = {}  # path of a plain url -> bytes
        self.gets = []  # paths that were downloaded
        self.break_at = {}  # path -> byte at which its next download breaks off
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, values=None, status=200, headers=()):
        data = b"" if values is None else json.dumps(values).encode()
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(data))), *headers):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status, code):
        self.answer({"error": code}, status, [("X-Error-Code", code), ("X-Error-Message", code)])

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_POST(self):
        path, body = unquote(urlsplit(self.path).path), self.body()
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            if name in self.hub.repositories:
                return self.answer({"error": "exists", "url": f"{self.hub.url}/{name}"}, 409)
            private = bool(asked.get("private")) or asked.get("visibility") == "private"
            repository = self.hub.repositories[name] = Repository(private=private)
            repository.commit({".gitattributes": b""})
            return self.answer({"url": f"{self.hub.url}/{name}", "name": name, "id": name})
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit|tag)/(.+)", path)
        if not match or match[1] not in self.hub.repositories:
            return self.refuse(404, "RepoNotFound")
        return getattr(self, match[2])(match[1], self.hub.repositories[match[1]], match[3], body)

    def preupload(self, name, repository, revision, body):
        files = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]]
        self.answer({"files": files})

    def commit(self, name, repository, revision, body):
        files = dict(repository.trees[repository.branches["main"]])
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            elif entry["key"] == "deletedFile":
                files.pop(entry["value"]["path"], None)
        oid = repository.commit(files)
        url = f"{self.hub.url}/{name}/commit/{oid}"
        self.answer({"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})

    def tag(self, name, repository, revision, body):
        repository.tags[json.loads(body)["tag"]] = repository.resolve(revision)
        self.answer({})

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if path == "/api/whoami-v2":
            return self.answer({"name": "tester", "type": "user", "orgs": []})
        if path in self.hub.files:
            return self.send_file(path, self.hub.files[path], [("ETag", _etag(self.hub.files[path]))])
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(refs|revision/.+|tree/.+))?", path)
        if match:
            return self.describe(match[1], match[2] or "")
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        return self.resolve(*match.groups()) if match else self.refuse(404, "EntryNotFound")

    def do_HEAD(self):
        return self.do_GET()

    def describe(self, name, what):
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self.refuse(401, "RepoNotFound")
        if what == "refs":
            refs = {
                kind: [{"name": n, "ref": f"refs/{prefix}/{n}", "targetCommit": oid} for n, oid in items.items()]
                for kind, prefix, items in (
                    ("branches", "heads", repository.branches),
                    ("tags", "tags", repository.tags),
                )
            }
            return self.answer({"converts": [], **refs})
        kind, _, revision = what.partition("/")
        oid = repository.resolve(revision or "main")
        if oid is None:
            return self.refuse(404, "RevisionNotFound")
        files = repository.trees[oid]
        if kind == "tree":
            tree = [{"type": "file", "path": p, "size": len(d), "oid": _etag(d).strip('"')} for p, d in files.items()]
            return self.answer(tree)
        siblings = [{"rfilename": path} for path in files]
        return self.answer({"id": name, "sha": oid, "siblings": siblings, "private": repository.private, "tags": []})

    def resolve(self, name, revision, path):
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self.refuse(401, "RepoNotFound")
        if repository.gated:
            return self.refuse(403, "GatedRepo")
        oid = repository.resolve(revision)
        if oid is None:
            return self.refuse(404, "RevisionNotFound")
        if path not in repository.trees[oid]:
            return self.answer({}, 404, [("X-Error-Code", "EntryNotFound"), ("X-Repo-Commit", oid)])
        data = repository.trees[oid][path]
        return self.send_file(path, data, [("ETag", _etag(data)), ("X-Repo-Commit", oid)])

    def send_file(self, path, data, headers):
        start = 0
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if match and self.headers.get("If-Range", _etag(data)) == _etag(data):
            start = int(match[1])
        if start >= len(data) > 0:
            return self.refuse(416, "RangeNotSatisfiable")
        if self.command == "GET":  # noted before anything is sent, so that nothing is noted late
            self.hub.gets.append((path, start))
        self.send_response(206 if start else 200)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "HEAD":
            return None
        if path in self.hub.break_at:
            self.wfile.write(data[start : self.hub.break_at.pop(path)])
            self.close_connection = True
            return self.connection.close()
        with suppress(ConnectionError):  # the reader may have gone
            self.wfile.write(data[start:])
        return None


def _etag(data):
    return f'"{hashlib.sha256(data).hexdigest()}"'
