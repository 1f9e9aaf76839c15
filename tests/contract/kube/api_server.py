# SPDX-License-Identifier: Apache-2.0
"""A small API server for tests of a client: Services over real HTTP/2 or HTTP/1.1 and TLS, with faults on request.

Makes its certificates in the folder given, listens on a free port of 127.0.0.1 and says so in a line of JSON. Then each
line of JSON on stdin is a command, answered by a line:

  {"put": {object}}  {"delete": "ns/name"}  {"compact": true}
  {"fault": "lose-request" | "lose-answer" | "hang", "verb": "patch", "times": 1}
  {"refuse": 503, "retry_after": 1, "message": "...", "times": 1}
  {"cut_watches": true}  {"end_watches": true}  {"token": "..."}  {"down": true | false}  {"drop_connections": true}
  {"stats": true}      {"connections": 2, "protocols": ["h2"], "most_streams": 64, "requests": 7, "last_headers": {...}}

What it knows of Kubernetes is what a client's contract needs: versions, conflicts, merge patches, pages, watches.
/raw?size=N answers with that many bytes.
"""

import argparse
import asyncio
import json
import logging
import pathlib
import ssl
import subprocess
import sys
import urllib.parse

import h2.config
import h2.connection
import h2.events
import h2.exceptions


def make_certificates(folder):
    """A CA, a server's certificate for 127.0.0.1 and api.test, a client's, and a CA that signed none of them."""
    run = lambda *words: subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for ca in ("ca", "other"):
        run("req", "-x509", *new, "-keyout", f"{ca}.key", "-out", f"{ca}.crt", "-days", "2", "-subj", f"/CN={ca}")
    for name, extension in (("server", "subjectAltName=IP:127.0.0.1,DNS:api.test"), ("client", "keyUsage=digitalSignature")):
        run("req", "-new", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / f"{name}.ext").write_text(extension)
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", f"{name}.ext", "-out", f"{name}.crt")


def status(code, reason, message):
    return code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code}


def merge(target, patch):
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            inner = target.get(key)
            target[key] = merge(inner if isinstance(inner, dict) else {}, value)
        else:
            target[key] = value
    return target


class Store:
    def __init__(self):
        self.objects, self.history, self.revision, self.compacted = {}, [], 1, 0
        self.snapshots, self.listeners = {}, set()

    def commit(self, kind, key, item):
        self.revision += 1
        item["metadata"]["resourceVersion"] = str(self.revision)
        if kind == "DELETED":
            del self.objects[key]
        else:
            self.objects[key] = item
        event = (self.revision, json.dumps({"type": kind, "object": item}))
        self.history.append(event)
        for queue in self.listeners:
            queue.put_nowait(event[1])
        return item

    def put(self, item):
        item = json.loads(json.dumps(item))
        key = (item["metadata"].setdefault("namespace", "default"), item["metadata"]["name"])
        return self.commit("MODIFIED" if key in self.objects else "ADDED", key, item)

    def compact(self):
        self.compacted, self.history = self.revision, []
        self.snapshots.clear()

    def page(self, query):
        start, version, items = 0, self.revision, [self.objects[key] for key in sorted(self.objects)]
        if "continue" in query:
            if query["continue"] not in self.snapshots:
                return status(410, "Expired", "The provided continue parameter is too old")
            version, start, items = self.snapshots[query["continue"]]
        limit = int(query.get("limit", 0)) or len(items)
        meta = {"resourceVersion": str(version)}
        if start + limit < len(items):
            meta["continue"] = f"{version}/+={start + limit}"  # has to be escaped
            self.snapshots[meta["continue"]] = (version, start + limit, items)
        return 200, {"kind": "ServiceList", "metadata": meta, "items": items[start : start + limit]}

    def write(self, method, key, body):
        old = self.objects.get(key)
        missing = status(404, "NotFound", f'services "{key[1]}" not found')
        if method == "POST":
            body["metadata"].setdefault("namespace", key[0])
            new = (key[0], body["metadata"]["name"])
            if new in self.objects:
                return status(409, "AlreadyExists", f'services "{new[1]}" already exists')
            return 201, self.commit("ADDED", new, body)
        if old is None:
            return missing
        if method == "DELETE":
            self.commit("DELETED", key, dict(old, metadata=dict(old["metadata"])))
            return 200, {"kind": "Status", "status": "Success"}
        item = merge(json.loads(json.dumps(old)), body) if method == "PATCH" else body
        asked = item["metadata"].get("resourceVersion")
        if asked and asked != old["metadata"]["resourceVersion"]:
            return status(409, "Conflict", f'Operation cannot be fulfilled on services "{key[1]}": the object has been modified')
        return 200, self.commit("MODIFIED", key, item)


class Gone(Exception):
    """The connection is to end now."""


class Server:
    def __init__(self, http1):
        self.http1, self.store, self.token = http1, Store(), None
        self.fault, self.refusal, self.connections, self.watches = None, None, set(), set()
        self.stats = {"connections": 0, "protocols": [], "most_streams": 0, "requests": 0, "last_headers": {}}

    def spend(self, name, verb):
        entry = getattr(self, name)
        if entry is None or entry.get("verb", verb) != verb or entry["times"] == 0:
            return None
        entry["times"] -= 1
        return entry

    async def respond(self, method, target, headers, body, reply):
        """Answers by `await reply.head(code, headers)`, `await reply.data(bytes)`, `await reply.end()`."""
        self.stats["requests"] += 1
        self.stats["last_headers"] = headers
        url = urllib.parse.urlsplit(target)
        query = dict(urllib.parse.parse_qsl(url.query))
        steps = url.path.strip("/").split("/")
        watch = query.get("watch") in ("1", "true")
        names = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
        named = len(steps) > 5
        verb = names.get(method, "watch" if watch else "get" if named or steps[0] == "raw" else "list")
        if self.token is not None and headers.get("authorization") != f"Bearer {self.token}":
            return await self.send(reply, *status(401, "Unauthorized", "Unauthorized"))
        if refusal := self.spend("refusal", verb):
            extra = {"retry-after": str(refusal["retry_after"])} if "retry_after" in refusal else {}
            return await self.send(reply, *status(refusal["refuse"], "", refusal.get("message", "")), extra)
        fault = (self.spend("fault", verb) or {}).get("fault")
        if fault == "lose-request":
            raise Gone
        if fault == "hang":
            await asyncio.Event().wait()
        if steps[0] == "raw":
            await reply.head(200, {})
            await reply.data(b"x" * int(query["size"]))
            return await reply.end()
        if watch:
            return await self.watch(query, reply)
        key = (steps[3] if len(steps) > 3 else "", steps[5] if named else "")
        if method == "GET" and named:
            found = self.store.objects.get(key)
            answer = (200, found) if found else status(404, "NotFound", f'services "{key[1]}" not found')
        elif method == "GET":
            answer = self.store.page(query)
        else:
            wanted = "application/merge-patch+json" if method == "PATCH" else "application/json"
            if body and headers.get("content-type") != wanted:
                answer = status(415, "UnsupportedMediaType", f"the body must be {wanted}")
            else:
                answer = self.store.write(method, key, json.loads(body or b"{}"))
        if fault == "lose-answer":
            raise Gone
        await self.send(reply, *answer)

    async def send(self, reply, code, answer, headers=()):
        body = json.dumps(answer).encode()
        await reply.head(code, {"content-type": "application/json", "content-length": str(len(body)), **dict(headers)})
        await reply.data(body)
        await reply.end()

    async def watch(self, query, reply):
        since, queue = int(query.get("resourceVersion", 0)), asyncio.Queue()
        await reply.head(200, {"content-type": "application/json"})
        if since < self.store.compacted:
            answer = json.dumps({"type": "ERROR", "object": status(410, "Expired", f"too old resource version: {since}")[1]})
            await reply.data(answer.encode() + b"\n")
            return await reply.end()
        for version, line in self.store.history:
            if version > since:
                queue.put_nowait(line)
        self.store.listeners.add(queue)
        self.watches.add(queue)
        try:
            while (line := await queue.get()) is not None:
                if line == "cut":
                    await reply.data(b'{"type":"ADDED","object":{"metad')
                    await asyncio.sleep(0)
                    raise Gone
                half = len(line) // 2  # lines come in pieces
                await reply.data(line[:half].encode())
                await reply.data(line[half:].encode() + b"\n")
            await reply.end()
        finally:
            self.store.listeners.discard(queue)
            self.watches.discard(queue)

    async def serve(self, reader, writer):
        protocol = writer.get_extra_info("ssl_object").selected_alpn_protocol() or "http/1.1"
        self.stats["connections"] += 1
        if protocol not in self.stats["protocols"]:
            self.stats["protocols"].append(protocol)
        self.connections.add(writer)
        try:
            await (Http2(self, reader, writer) if protocol == "h2" else Http1(self, reader, writer)).run()
        except (Gone, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.connections.discard(writer)
            writer.transport.abort()


class Http1:
    def __init__(self, server, reader, writer):
        self.server, self.reader, self.writer = server, reader, writer

    async def run(self):
        while head := (await self.reader.readuntil(b"\r\n\r\n")).decode():
            first, *lines = head.strip().split("\r\n")
            method, target, _ = first.split(" ")
            headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
            await self.server.respond(method, target, headers, body, self)

    async def head(self, code, headers):
        lines = [f"HTTP/1.1 {code} Said", "transfer-encoding: chunked"]
        lines += [f"{key}: {value}" for key, value in headers.items() if key != "content-length"]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def data(self, data):
        if data:
            self.writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            await self.writer.drain()

    async def end(self):
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()


class Http2:
    def __init__(self, server, reader, writer):
        self.server, self.reader, self.writer = server, reader, writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.requests, self.tasks, self.window, self.gone = {}, {}, asyncio.Condition(), False

    async def run(self):
        self.h2.initiate_connection()
        self.flush()
        try:
            while not self.gone and (data := await self.reader.read(65536)):
                for event in self.h2.receive_data(data):
                    await self.take(event)
                self.flush()
        finally:
            for task in self.tasks.values():
                task.cancel()

    def flush(self):
        self.writer.write(self.h2.data_to_send())

    async def take(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.requests[event.stream_id] = [dict(event.headers), b""]
        elif isinstance(event, h2.events.DataReceived):
            self.requests[event.stream_id][1] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.tasks[event.stream_id] = asyncio.ensure_future(self.answer(event.stream_id))
            most = self.server.stats["most_streams"]
            self.server.stats["most_streams"] = max(most, len(self.tasks))
        elif isinstance(event, h2.events.StreamReset):
            if task := self.tasks.pop(event.stream_id, None):
                task.cancel()
        elif isinstance(event, h2.events.WindowUpdated):
            async with self.window:
                self.window.notify_all()

    async def answer(self, stream):
        headers, body = self.requests.pop(stream)
        try:
            await self.server.respond(headers[":method"], headers[":path"], headers, body, Stream(self, stream))
        except Gone:
            self.gone = True
            self.flush()
            self.writer.transport.abort()
        except (ConnectionError, h2.exceptions.ProtocolError):
            pass
        finally:
            self.tasks.pop(stream, None)


class Stream:
    def __init__(self, connection, stream):
        self.connection, self.stream = connection, stream

    async def head(self, code, headers):
        self.connection.h2.send_headers(self.stream, [(":status", str(code)), *headers.items()])
        self.connection.flush()

    async def data(self, data):
        at, http = 0, self.connection.h2
        while at < len(data):
            room = min(http.local_flow_control_window(self.stream), http.max_outbound_frame_size, len(data) - at)
            if room <= 0:
                async with self.connection.window:
                    await self.connection.window.wait()
                continue
            http.send_data(self.stream, data[at : at + room])
            at += room
            self.connection.flush()
            await self.connection.writer.drain()

    async def end(self):
        self.connection.h2.end_stream(self.stream)
        self.connection.flush()


async def commands(server, listen):
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    listener = await listen(0)
    port = listener.sockets[0].getsockname()[1]
    print(json.dumps({"port": port}), flush=True)
    while line := await reader.readline():
        command, answer = json.loads(line), {}
        if "put" in command:
            answer = server.store.put(command["put"])
        if "delete" in command:
            server.store.write("DELETE", tuple(command["delete"].split("/")), {})
        if "compact" in command:
            server.store.compact()
        if "fault" in command:
            server.fault = {"times": 1, **command}
        if "refuse" in command:
            server.refusal = {"times": 1, **command}
        if "token" in command:
            server.token = command["token"]
        for word, message in (("cut_watches", "cut"), ("end_watches", None)):
            if word in command:
                for queue in list(server.watches):
                    queue.put_nowait(message)
        if command.get("down") is True:
            listener.close()
        if command.get("down") is True or "drop_connections" in command:
            for writer in list(server.connections):
                writer.transport.abort()
        if command.get("down") is False:
            listener = await listen(port)
        if "stats" in command:
            answer = dict(server.stats, watches=len(server.watches))
        print(json.dumps(answer), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--http1", action="store_true")
    parser.add_argument("--client-certificate", action="store_true", help="refuse who has none")
    flags = parser.parse_args()
    make_certificates(flags.folder)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # says that a connection is closed when we close it
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(flags.folder / "server.crt", flags.folder / "server.key")
    context.set_alpn_protocols(["http/1.1"] if flags.http1 else ["h2", "http/1.1"])
    if flags.client_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(flags.folder / "ca.crt")
    server = Server(flags.http1)
    asyncio.run(commands(server, lambda port: asyncio.start_server(server.serve, "127.0.0.1", port, ssl=context)))


if __name__ == "__main__":
    main()
