#!/usr/bin/env python3
"""Resident memory of a gateway under large objects and many clients.

    cargo build --release && python3 benches/memory.py target/release/valetkey

It serves a sparse object of 20 GiB to 1,000 clients that read slowly and to one that reads all of it, takes
1,000 uploads that arrive slowly, and takes one of 2 GiB. After each it prints VmRSS and VmHWM of the process.
All traffic stays on the loopback interface.
"""

import base64, hashlib, hmac, os, resource, signal, socket, subprocess, sys, tempfile, time

CLIENTS, OBJECT_BYTES, UPLOAD_BYTES = 1000, 20 << 30, 2 << 30


def url(secret, path, allow):
    key = {"allow": allow, "end": "2099-01-01T00:00:00Z", "signer": "web"}
    text = "".join(f"{name}={value}\n" for name, value in sorted({"path": path, **key}.items()))
    mac = hmac.new(secret, b"valetkey/1\n" + text.encode(), hashlib.sha256).digest()
    key["sig"] = base64.urlsafe_b64encode(mac).decode().rstrip("=")
    return path + "?" + "&".join(f"vk-{name}={value}" for name, value in key.items())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port, receive_bytes=None):
    client = socket.socket()
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.connect(("127.0.0.1", port))
    return client


def memory(pid, what):
    fields = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status"))
    kib = {name: int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM")}
    print(f"{what:58} VmRSS {kib['VmRSS'] / 1024:7.1f} MiB   VmHWM {kib['VmHWM'] / 1024:7.1f} MiB", flush=True)


def main():
    binary = os.path.abspath(sys.argv[1])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as home:
        port = free_port()
        secret = b"a secret for measurements only, 42"
        with open(f"{home}/web.secret", "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(secret)
        with open(f"{home}/valetkey.toml", "w") as file:
            file.write(
                f'[server]\nlisten = "127.0.0.1:{port}"\n[ledger]\nengine = "sqlite"\npath = "data/ledger.db"\n'
                '[audit]\npath = "data/audit.jsonl"\n[backends.local]\nkind = "disk"\nroot = "objects"\n'
                '[buckets.files]\nbackend = "local"\n[signers.web]\nsecret_file = "web.secret"\n'
            )
        os.makedirs(f"{home}/objects")
        os.makedirs(f"{home}/data", mode=0o700)
        with open(f"{home}/objects/large", "wb") as file:
            file.truncate(OBJECT_BYTES)
        gateway = subprocess.Popen([binary, "serve", "--config", f"{home}/valetkey.toml"], stderr=subprocess.DEVNULL)
        try:
            measure(gateway.pid, port, secret)
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait(60)


def measure(pid, port, secret):
    for _ in range(200):
        try:
            connect(port).close()
            break
        except OSError:
            time.sleep(0.05)
    memory(pid, "started")

    get = f"GET {url(secret, '/files/large', 'read')} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    readers = [connect(port, 4096) for _ in range(CLIENTS)]
    for reader in readers:
        reader.sendall(get)
    for _ in range(5):
        for reader in readers:
            assert reader.recv(1024)
    memory(pid, f"{CLIENTS} slow downloads of a 20 GiB object")

    whole = connect(port)
    whole.sendall(get)
    received, buffer = 0, bytearray(1 << 20)
    while received < OBJECT_BYTES:
        count = whole.recv_into(buffer)
        assert count, "the download broke off"
        received += count
    memory(pid, f"and one more that reads all {OBJECT_BYTES >> 30} GiB")
    for reader in readers + [whole]:
        reader.close()

    writers = []
    for number in range(CLIENTS):
        writer = connect(port)
        target = url(secret, f"/files/slow/{number}", "create")
        writer.sendall(f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n".encode())
        writers.append(writer)
    for _ in range(8):
        for writer in writers:
            writer.sendall(bytes(65536))
    time.sleep(1)
    memory(pid, f"{CLIENTS} uploads of 1 MiB, half arrived")
    for writer in writers:
        writer.sendall(bytes(1048576 - 8 * 65536))
    for writer in writers:
        assert b" 200 " in writer.recv(4096)
        writer.close()
    memory(pid, "all of them stored")

    upload = connect(port)
    target = url(secret, "/files/upload", "create")
    upload.sendall(f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {UPLOAD_BYTES}\r\n\r\n".encode())
    piece = bytes(1 << 20)
    for _ in range(UPLOAD_BYTES >> 20):
        upload.sendall(piece)
    assert b" 200 " in upload.recv(4096)
    memory(pid, f"one upload of {UPLOAD_BYTES >> 30} GiB")


main()
