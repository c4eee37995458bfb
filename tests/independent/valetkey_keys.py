#!/usr/bin/env python3
"""The valetkey native key format, worked from its description alone, with the standard library alone.

It shares no code with the gateway, so that a mistake would have to be made twice to go unseen. It knows
minting, narrowing, fingerprints and every spelling rule; it knows nothing of storage or counting.

    valetkey_keys.py --check VECTORS        verify published vectors: messages, signatures, fingerprints, verdicts;
                                            of renewals: the new end and signature
    valetkey_keys.py --generate SEED N      print N cases for a running gateway as JSON
    valetkey_keys.py --vectors SEED         print further vectors in the published form
"""

import base64
import datetime
import hashlib
import hmac
import ipaddress
import json
import re
import sys
from urllib.parse import quote

from blake3_small import blake3

NAMES = (
    "signer allow path end start issued max min uses in out files rate parallel ip type digest disposition "
    "renew policy subject id sig"
).split()
NOT_IN_BLOCKS = set("signer policy subject disposition renew issued sig".split())
REQUIRED = ("signer", "allow", "end")
VERBS = ("create", "delete", "list", "read", "stat", "write")
LEVELS_MAX = 8


class Refused(Exception):
    """A key that does not hold; the text is the reason."""


# Minting and narrowing: what an application does.


def message(parameters, opening="valetkey/1\n"):
    """The text that is signed: one line for each parameter, sorted by name."""
    return opening + "".join(f"{name}={parameters[name]}\n" for name in sorted(parameters))


def sign(secret, text):
    return hmac.new(secret, text.encode(), hashlib.sha256).digest()


def mint(secret, parameters):
    """The signature of a base key; `parameters` must hold `path`."""
    return sign(secret, message(parameters))


def narrow(sig, parameters):
    """The signature of a key narrowed by one block: needs the last signature, no secret."""
    return sign(sig, message(parameters, "valetkey/1 narrow\n"))


def renew(parameters, blocks, now, ceilings=()):
    """The parameters of the renewed key; None where its holder cannot renew it. `parameters` must hold `path`.

    `ceilings` are those of its signer and policies, of which max_lifetime and max_renew are in seconds."""
    end = seconds(parameters["end"])
    if blocks or "renew" not in parameters or "id" not in parameters or now >= end:
        return None
    latest = [seconds(parameters["renew"])]
    for ceiling in ceilings:
        if "max_renew" in ceiling and "issued" not in parameters:
            return None
        latest += [seconds(ceiling["renew"])] if "renew" in ceiling else []
        latest += [now + ceiling["max_lifetime"]] if "max_lifetime" in ceiling else []
        latest += [seconds(parameters["issued"]) + ceiling["max_renew"]] if "max_renew" in ceiling else []
    return parameters | {"end": time_text(max(end, min(latest)))}


def text_of(sig):
    return base64.urlsafe_b64encode(sig).decode().rstrip("=")


def fingerprint(sig):
    return blake3(sig)[:16].hex()


def pairs_of(parameters, blocks, sig):
    """Query parameters, decoded, in writing order."""
    pairs = [(f"vk-{name}", value) for name, value in parameters.items()]
    for number, block in enumerate(blocks, 1):
        pairs += [(f"vk-{name}.{number}", value) for name, value in block.items()]
    return pairs + [("vk-sig", sig if isinstance(sig, str) else text_of(sig))]


def query_of(pairs):
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='/:,=;*')}" for name, value in pairs)


# Reading: what a verifier does.


def read(url):
    """(path, parameters, blocks, sig) of a URL's key. Raises Refused("malformed_key") for anything not in its one spelling."""
    raw_path, _, query = url.partition("?")
    path = _decoded(raw_path, plus=False)
    levels = {}
    for pair in filter(None, query.split("&")):
        raw_name, _, raw_value = pair.partition("=")
        # What cannot be decoded cannot be ours; what begins like ours is never ignored.
        name = _lenient(raw_name)
        if not name.lower().startswith("vk-"):
            continue
        if raw_name != name:
            raise Refused("malformed_key")
        match = re.fullmatch(r"vk-([a-z]+)(?:\.([1-8]))?", name)
        if not match or match[1] not in NAMES:
            raise Refused("malformed_key")
        level, value = int(match[2] or 0), _decoded(raw_value, plus=True)
        if level and match[1] in NOT_IN_BLOCKS:
            raise Refused("malformed_key")
        block = levels.setdefault(level, {})
        if match[1] in block or not is_canonical(match[1], value):
            raise Refused("malformed_key")
        block[match[1]] = value
    if not levels:
        raise Refused("no_key")
    base = levels.get(0, {})
    if sorted(levels) != list(range(len(levels))) or "sig" not in base or any(name not in base for name in REQUIRED):
        raise Refused("malformed_key")
    sig = _signature_bytes(base.pop("sig"))
    blocks = [levels[number] for number in range(1, len(levels))]
    base.setdefault("path", path + "/" if path.count("/") == 1 else path)
    if not all(_is_consistent(level) for level in [base] + blocks):
        raise Refused("malformed_key")
    return path, base, blocks, sig


def verify(secrets, method, url, now, client="127.0.0.1", skew=30):
    """The levels of a key that holds for this request, as the vectors write them. Raises Refused with the reason."""
    path, base, blocks, sig = read(url)
    if base["signer"] not in secrets:
        raise Refused("bad_signature")
    levels = [_level(mint(secrets[base["signer"]], base), message(base))]
    for block in blocks:
        levels.append(_level(narrow(levels[-1]["bytes"], block), message(block, "valetkey/1 narrow\n")))
    if not hmac.compare_digest(levels[-1].pop("bytes"), sig):
        raise Refused("bad_signature")
    everything = [base] + blocks
    if any(name in level and seconds(level[name]) > now + skew for level in everything for name in ("start", "issued")):
        raise Refused("not_yet_valid")
    if any("end" in level and now >= seconds(level["end"]) for level in everything):
        raise Refused("expired")
    if any("ip" in level and not _address_in(client, level["ip"]) for level in everything):
        raise Refused("client_not_allowed")
    if any("allow" in level and not _verb_in(method, level["allow"].split(",")) for level in everything):
        raise Refused("not_allowed")
    if any("path" in level and not _path_in(path, level["path"]) for level in everything):
        raise Refused("out_of_scope")
    return [{name: level[name] for name in ("message", "sig", "fingerprint")} for level in levels]


def seconds(text):
    return int(datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc).timestamp())


def time_text(at):
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


# The one spelling of each value.


def is_canonical(name, value):
    if not value or re.search(r"[\x00-\x1f\x7f-\x9f]", value):
        return False
    return SPELLINGS[name](value)


def _number(least):
    return lambda value: re.fullmatch(r"0|[1-9][0-9]{0,18}", value) is not None and least <= int(value) < 2**63


def _matches(pattern):
    return lambda value: re.fullmatch(pattern, value) is not None


def _time(value):
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", value):
        return False
    try:
        return time_text(seconds(value)) == value
    except ValueError:
        return False


def _set(member):
    def check(value):
        members = value.split(",")
        return members == sorted(set(members), key=str.encode) and all(map(member, members))

    return check


def _cidr(value):
    try:
        return "/" in value and str(ipaddress.ip_network(value, strict=True)) == value
    except ValueError:
        return False


def _digest(value):
    algorithm, _, hashed = value.partition(":")
    return algorithm in ("blake3", "sha-256") and _canonical_base64(hashed)


def _path(value):
    if not value.startswith("/") or value.count("/") < 2:
        return False
    bucket, *segments = value[1:].split("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        return False
    folder = segments[:-1] if segments[-1] == "" else segments
    return all(segment not in ("", ".", "..") for segment in folder)


def _disposition(value):
    return re.fullmatch(r"(inline|attachment)( *;.*)?", value) is not None and all(" " <= c <= "~" for c in value)


SPELLINGS = {
    "signer": _matches("[a-z0-9-]{1,32}"),
    "policy": _matches("[a-z0-9-]{1,32}"),
    "allow": _set(lambda verb: verb in VERBS),
    "path": _path,
    **{name: _time for name in ("end", "start", "issued", "renew")},
    **{name: _number(0) for name in ("max", "min", "in", "out")},
    **{name: _number(1) for name in ("uses", "files", "rate", "parallel")},
    "ip": _set(_cidr),
    "type": _set(_matches(r"[a-z0-9!#$&^_.+-]+/(\*|[a-z0-9!#$&^_.+-]+)")),
    "digest": _digest,
    "disposition": _disposition,
    "subject": lambda value: len(value.encode()) <= 256,
    "id": _matches("[A-Za-z0-9._-]{1,64}"),
    "sig": lambda value: True,
}


def _canonical_base64(text):
    if not re.fullmatch(r"[A-Za-z0-9_-]{43}", text):
        return False
    return text_of(base64.urlsafe_b64decode(text + "=")) == text


def _signature_bytes(text):
    if not _canonical_base64(text):
        raise Refused("malformed_key")
    return base64.urlsafe_b64decode(text + "=")


def _is_consistent(level):
    if "min" in level and "max" in level and int(level["min"]) > int(level["max"]):
        return False
    return not ("start" in level and "end" in level and seconds(level["start"]) >= seconds(level["end"]))


# What a level permits.


def _verb_in(method, allowed):
    needed = {"GET": "read", "HEAD": "stat", "PUT": "create", "POST": "create", "DELETE": "delete"}[method]
    implied = {"stat": "read", "create": "write"}
    return needed in allowed or implied.get(needed) in allowed


def _path_in(path, scope):
    return path.startswith(scope) if scope.endswith("/") else path == scope


def _address_in(client, cidrs):
    return any(ipaddress.ip_address(client) in ipaddress.ip_network(cidr) for cidr in cidrs.split(","))


def _level(sig, text):
    return {"bytes": sig, "message": text, "sig": text_of(sig), "fingerprint": fingerprint(sig)}


def _decoded(raw, plus):
    if re.search("%(?![0-9A-Fa-f]{2})", raw):
        raise Refused("malformed_key")
    data = (raw.replace("+", " ") if plus else raw).encode("utf-8", "surrogateescape")
    try:
        return re.sub(rb"%(..)", lambda match: bytes([int(match[1], 16)]), data).decode()
    except UnicodeDecodeError:
        raise Refused("malformed_key") from None


def _lenient(raw):
    return re.sub("%([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), raw)


# The command.


def check(path):
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    secrets, wrong = {vectors["signer"]: vectors["secret"].encode()}, []
    for case in vectors["cases"]:
        if "ceilings" in case:
            wrong += check_renewal(case, secrets[vectors["signer"]])
            continue
        try:
            levels = verify(secrets, case["method"], case["url"], seconds(case["now"]), client=vectors.get("client", "10.1.2.3"))
            verdict = "valid"
        except Refused as refused:
            levels, verdict = [], str(refused)
        if (verdict, levels) != (case["verdict"], case.get("levels") or []):
            wrong.append(f"{case['name']}: {verdict}, not {case['verdict']}: {case['url']}\n  {levels}")
    print("\n".join(wrong + [f"{len(vectors['cases'])} vectors, {len(wrong)} wrong"]))
    return 1 if wrong else 0


def check_renewal(case, secret):
    _, base, blocks, _ = read(case["url"])
    new = renew(base, blocks, seconds(case["now"]), case["ceilings"])
    got = new and {"end": new["end"], "message": message(new), "sig": text_of(mint(secret, new)), "fingerprint": fingerprint(mint(secret, new))}
    return [] if got == case["renewed"] else [f"{case['name']}: {got}, not {case['renewed']}"]


def main(arguments):
    import cases  # late: it imports this module

    if arguments[:1] == ["--check"] and len(arguments) >= 2:
        return max(check(path) for path in arguments[1:])
    if arguments[:1] == ["--generate"] and len(arguments) == 3:
        print(json.dumps(cases.for_gateway(int(arguments[1]), int(arguments[2])), indent=1, ensure_ascii=False))
        return 0
    if arguments[:1] == ["--vectors"] and len(arguments) == 2:
        print(json.dumps(cases.as_vectors(int(arguments[1])), indent=1, ensure_ascii=False))
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
