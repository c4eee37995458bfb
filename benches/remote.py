#!/usr/bin/env python3
"""Throughput and CPU time of a gateway before a store, beside the same store asked directly.

    tests/stores/install && cargo build --release && python3 benches/remote.py target/release/valetkey [ROUNDS] [MIB]

It starts a SeaweedFS, puts an object of 1 GiB and gets it back: straight, through the gateway, and through a bare relay
that takes 256 KiB off one socket and puts them on the other, by turns. It prints of each round the throughput, and the
CPU time that the gateway and the relay used: what the relay uses is what any process in between pays the kernel. All
traffic stays on the loopback interface.
"""

import base64, datetime, hashlib, hmac, json, os, shutil, signal, socket, statistics, subprocess, sys, tempfile, threading
import time

ACCESS_KEY_ID, SECRET_ACCESS_KEY, KEY_SECRET = "bench", "a-store-for-measurements", b"a secret for measurements only, 42"
PIECE = os.urandom(1 << 20)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def key_url(path, allow):
    key = {"allow": allow, "end": "2099-01-01T00:00:00Z", "signer": "web"}
    text = "".join(f"{name}={value}\n" for name, value in sorted({"path": path, **key}.items()))
    mac = hmac.new(KEY_SECRET, b"valetkey/1\n" + text.encode(), hashlib.sha256).digest()
    key["sig"] = base64.urlsafe_b64encode(mac).decode().rstrip("=")
    return path + "?" + "&".join(f"vk-{name}={value}" for name, value in key.items())


def presigned(method, host, path):
    """A URL by which the store itself takes a request."""
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{date[:8]}/us-east-1/s3/aws4_request"
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={ACCESS_KEY_ID}%2F{scope.replace('/', '%2F')}"
        f"&X-Amz-Date={date}&X-Amz-Expires=3600&X-Amz-SignedHeaders=host"
    )
    canonical = f"{method}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    mac = f"AWS4{SECRET_ACCESS_KEY}".encode()
    for part in (date[:8], "us-east-1", "s3", "aws4_request", text):
        mac = hmac.new(mac, part.encode(), hashlib.sha256).digest()
    return f"{path}?{query}&X-Amz-Signature={mac.hex()}"


def ask(port, method, target, send_bytes=0, receive_bytes=0, host=None):
    """The seconds that one exchange takes."""
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as client:
        head = f"{method} {target} HTTP/1.1\r\nHost: {host or f'127.0.0.1:{port}'}\r\nConnection: close\r\n"
        length = f"Content-Length: {send_bytes}\r\n" if method == "PUT" else ""
        client.sendall(f"{head}{length}\r\n".encode())
        for _ in range(send_bytes >> 20):
            client.sendall(PIECE)
        buffer = bytearray(1 << 20)
        count = client.recv_into(buffer)
        answer = bytes(buffer[:count])
        while b"\r\n\r\n" not in answer:
            count = client.recv_into(buffer)
            assert count, answer
            answer += bytes(buffer[:count])
        head, body = answer.split(b"\r\n\r\n", 1)
        assert b" 200 " in head.split(b"\r\n")[0], answer[:500]
        received = len(body)
        while received < receive_bytes:
            count = client.recv_into(buffer)
            assert count, "the download broke off"
            received += count
        assert not receive_bytes or received == receive_bytes
    return time.monotonic() - begun


def wait_for(port, works):
    for _ in range(400):
        try:
            works()
            return
        except (OSError, AssertionError):
            time.sleep(0.1)
    raise SystemExit(f"nothing answers on port {port}")


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_store(home, port):
    with open(f"{home}/s3.json", "w") as file:
        credentials = [{"accessKey": ACCESS_KEY_ID, "secretKey": SECRET_ACCESS_KEY}]
        json.dump({"identities": [{"name": "bench", "credentials": credentials, "actions": ["Admin"]}]}, file)
    weed = os.path.join(os.path.dirname(__file__), "../tests/.tools/stores/bin/weed")
    names = "master.port master.port.grpc volume.port volume.port.grpc filer.port filer.port.grpc s3.port.grpc"
    ports = [f"-{name}={free_port()}" for name in names.split()]
    return subprocess.Popen(
        [weed, "server", "-s3", f"-s3.config={home}/s3.json", f"-s3.port={port}", "-s3.port.iceberg=0",
         "-s3.port.lance=0", f"-s3.localSocket={home}/s3.sock", f"-dir={home}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
         "-volume.max=2000", "-master.volumeSizeLimitMB=64", "-master.telemetry=false", *ports],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def start_gateway(home, binary, port, store_port):
    with open(f"{home}/web.secret", "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(KEY_SECRET)
    os.makedirs(f"{home}/data", mode=0o700)
    with open(f"{home}/valetkey.toml", "w") as file:
        file.write(
            f'[server]\nlisten = "127.0.0.1:{port}"\n[ledger]\nengine = "sqlite"\npath = "data/ledger.db"\n'
            '[audit]\npath = "data/audit.jsonl"\n[backends.store]\nkind = "s3"\nbucket = "bench"\n'
            f'endpoint = "http://127.0.0.1:{store_port}"\naccess_key_id_env = "BENCH_ID"\n'
            'secret_access_key_env = "BENCH_SECRET"\n[buckets.files]\nbackend = "store"\n'
            '[signers.web]\nsecret_file = "web.secret"\n'
        )
    environment = {**os.environ, "BENCH_ID": ACCESS_KEY_ID, "BENCH_SECRET": SECRET_ACCESS_KEY}
    return subprocess.Popen(
        [binary, "serve", "--config", f"{home}/valetkey.toml"], env=environment, stderr=subprocess.DEVNULL
    )


def relay(port, store_port):
    """A process that hands on what comes, one connection at a time; returns its process id."""
    listener = socket.create_server(("127.0.0.1", port))
    if pid := os.fork():
        listener.close()
        return pid

    def hand_on(source, target):
        buffer = memoryview(bytearray(256 << 10))
        while count := source.recv_into(buffer):
            target.sendall(buffer[:count])
        target.shutdown(socket.SHUT_WR)

    while True:
        client, _ = listener.accept()
        with client, socket.create_connection(("127.0.0.1", store_port)) as store:
            up = threading.Thread(target=hand_on, args=(client, store))
            up.start()
            hand_on(store, client)
            up.join()


def measure(pid, port, relay_pid, relay_port, store_port, rounds, size):
    host, gib = f"127.0.0.1:{store_port}", size / (1 << 30)
    for method in ("PUT", "GET"):
        allow = {"PUT": "write", "GET": "read"}[method]
        lengths = {"PUT": (size, 0), "GET": (0, size)}[method]
        # GET reads what PUT left: one object for all, so that none is warmer than another.
        straight = lambda: ask(store_port, method, presigned(method, host, "/bench/object"), *lengths)
        through = lambda: ask(port, method, key_url("/files/object", allow), *lengths)
        relayed = lambda: ask(relay_port, method, presigned(method, host, "/bench/object"), *lengths, host=host)
        ways = [("straight", straight), ("through", through), ("relayed", relayed)]
        if method == "GET":
            straight()
        found = []
        for number in range(rounds):
            cpu = {"through": cpu_seconds(pid), "relayed": cpu_seconds(relay_pid)}
            # Whoever comes first finds the caches otherwise, so that they take turns at it.
            secs = {name: way() for name, way in ways[number % 3 :] + ways[: number % 3]}
            ours = (cpu_seconds(pid) - cpu["through"]) / gib
            bare = (cpu_seconds(relay_pid) - cpu["relayed"]) / gib
            found.append((secs["straight"] / secs["through"], ours, secs["straight"] / secs["relayed"], bare))
            print(
                f"{method} straight {gib / secs['straight']:5.2f} GiB/s; through {gib / secs['through']:5.2f} GiB/s, "
                f"{ours:4.2f} CPU-s/GiB; relayed {gib / secs['relayed']:5.2f} GiB/s, {bare:4.2f} CPU-s/GiB",
                flush=True,
            )
        ratio, ours, relay_ratio, bare = (statistics.median(column) for column in zip(*found))
        print(
            f"{method} medians: through {ratio:4.2f} of straight, {ours:4.2f} CPU-s/GiB; "
            f"relayed {relay_ratio:4.2f} of straight, {bare:4.2f} CPU-s/GiB"
        )


def main():
    binary = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    size = (int(sys.argv[3]) if len(sys.argv) > 3 else 1024) << 20
    port, store_port, relay_port = free_port(), free_port(), free_port()
    home = tempfile.mkdtemp(prefix="valetkey-bench-")
    processes = []
    try:
        processes.append(start_store(home, store_port))
        host = f"127.0.0.1:{store_port}"
        wait_for(store_port, lambda: ask(store_port, "PUT", presigned("PUT", host, "/bench")))
        wait_for(store_port, lambda: ask(store_port, "PUT", presigned("PUT", host, "/bench/ready"), 1 << 20))
        processes.append(start_gateway(home, binary, port, store_port))
        wait_for(port, lambda: ask(port, "GET", "/-/health"))
        relay_pid = relay(relay_port, store_port)
        try:
            measure(processes[1].pid, port, relay_pid, relay_port, store_port, rounds, size)
        finally:
            os.kill(relay_pid, signal.SIGKILL)
            os.waitpid(relay_pid, 0)
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGKILL)
            process.wait(60)
        shutil.rmtree(home)


main()
