import base64, hashlib, hmac, sys, time, urllib.parse

def sign(server, path, secret, **limits):
    key = {"signer": "web", "end": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 900)), **limits}
    lines = "".join(f"{name}={value}\n" for name, value in sorted({"path": path, **key}.items()))
    mac = hmac.new(secret, b"valetkey/1\n" + lines.encode(), hashlib.sha256).digest()
    key["sig"] = base64.urlsafe_b64encode(mac).decode().rstrip("=")
    return server + urllib.parse.quote(path) + "?" + urllib.parse.urlencode({"vk-" + name: key[name] for name in key})

secret = open(sys.argv[1], "rb").read().strip()
print(sign(sys.argv[2], sys.argv[3], secret, **dict(limit.split("=", 1) for limit in sys.argv[4:])))
