"""Random keys that must hold and near-misses with the reason that must refuse them.

Each family below is one rule of the key format broken once. Expectations are stated by construction and, where the
reader of valetkey_keys.py can judge them, compared with its verdict: a case on which the two differ stops the run.
"""

import random
import time

import valetkey_keys as keys
from valetkey_keys import Refused, fingerprint, mint, narrow, pairs_of, query_of, text_of, time_text
from urllib.parse import quote

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTAxMjM="
SIGNER, OTHER_SECRET = "web", b"another-secret-another-secret-another-secret"
NAMES = ["a.txt", "photo 1.jpg", "ünï cödé", "+plus&amp%.txt", "q?uery#frag", "日本語.bin", "e\u0301", "%2e%2e", "a=b;c", "~tilde'quote\"", "\\back", "CON", "..."]
SUBJECTS = ["u42", "a=b&c d/e:f,g+h%20", "名前", "a\u00a0b", " lead and trail ", "x" * 256, "ü" * 128, "😀", "a\\b\"c'", "?#[]@!$&()*"]
DISPOSITIONS = ["inline", "attachment", 'attachment; filename="a b.txt"', "attachment; filename*=UTF-8''%e2%82%ac.txt"]
ADDRESSES = ["127.0.0.0/8", "10.0.0.0/8,127.0.0.1/32", "0.0.0.0/0", "127.0.0.1/32,2001:db8::/32", "127.0.0.0/9,::1/128"]
DIGEST = "sha-256:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"

# Values that decode well but are not in the one spelling. `name` may be followed by ! to mean: in a block too.
MISSPELT = {
    "signer": ["Web", "we_b", "w" * 33, "web.", "web "],
    "allow": ["write,read", "read,read", "read,", ",read", "read,,write", "read, write", "READ", "admin", "read;write", "*"],
    "path": ["/files", "files/a.txt", "//files/a.txt", "/files//a.txt", "/files/./a.txt", "/files/../files/a.txt", "/files/a/..", "/", "/files/a//", "/Files/a.txt", "/fi/a.txt", "http://x/files/a.txt"],
    "end": ["2099-11-22T00:00:00+00:00", "2099-11-22t00:00:00z", "2099-11-22 00:00:00Z", "2099-11-22T00:00:00", "2099-11-22T00:00:00.0Z", "2099-11-22T24:00:00Z", "2099-06-30T23:59:60Z", "2099-02-30T00:00:00Z", "2099-02-29T00:00:00Z", "2099-13-01T00:00:00Z", "2099-00-01T00:00:00Z", "2099-1-1T00:00:00Z", "02099-11-22T00:00:00Z", "4070908800", " 2099-11-22T00:00:00Z", "2099-11-22T00:00Z", "2099-11-22T00:60:00Z"],
    "max": ["05", "+5", "-5", "5.0", "5e3", "0x5", "5 ", " 5", "٥", "5_0", "5MiB", "9223372036854775808", "99999999999999999999"],
    "id": ["k" * 65, "a b", "a/b", "a:b", "a~b", "é", "a,b"],
    "subject": ["x" * 257, "ü" * 128 + "x", "a\nb", "a\x00b", "a\x7fb", "a\u0085b", "a\tb", "\x1b[31m"],
    "policy": ["Avatar", "ava_tar", "p" * 33],
    "ip": ["127.0.0.1/8", "127.0.0.1", "127.0.0.0/08", "0127.0.0.0/8", "127.0.0.0/33", "127.0.0.0/8,10.0.0.0/8", "127.0.0.0/8,127.0.0.0/8", "127.0.0.0/255.0.0.0", "2001:0db8::/32", "2001:DB8::/32", "2001:db8:0:0::/32", "::1", "::/129", "127/8", "localhost/8"],
    "type": ["Image/png", "image", "image/png,image/jpeg", "image/png,image/png", "image/", "/png", "image/png "],
    "digest": ["md5:AQEBAQEBAQEBAQEBAQEBAQ", "sha-256:AQEB", DIGEST[:-1] + "F", DIGEST + "=", "SHA-256" + DIGEST[7:], DIGEST[8:], "sha-256:" + "+" + DIGEST[9:]],
    "disposition": ["Inline", "attach", 'attachment; filename="é"', "attachment\x0b", "filename=x", "inlineX"],
}
MISSPELT.update({name: MISSPELT["max"] for name in ("min", "in", "out")})
MISSPELT.update({name: ["0"] + MISSPELT["max"] for name in ("uses", "files", "rate", "parallel")})
MISSPELT.update({name: MISSPELT["end"] for name in ("start", "issued", "renew")})


class Draft:
    """A key being written: decoded parameters and blocks, signed when the URL is asked for."""

    def __init__(self, rng, now, enforced_only):
        self.rng, self.now, self.client = rng, now, "127.0.0.1"
        self.method = rng.choice(["GET", "HEAD"])
        self.segments = [rng.choice(NAMES) for _ in range(rng.randint(1, 4))]
        self.path = "/files/" + "/".join(self.segments)
        self.base = {"signer": SIGNER, "allow": rng.choice(["read", "read,stat", "read,write", "create,delete,list,read,stat,write"]), "end": time_text(now + rng.randint(600, 86400))}
        if rng.random() < 0.5:
            self.base["path"] = self.scope()
        optional = {
            "start": time_text(now - rng.randint(1, 10**6)), "issued": time_text(now - rng.randint(1, 10**6)),
            "max": str(rng.randint(10, 2**63 - 1)), "min": str(rng.randint(0, 10)), "uses": str(rng.randint(1, 2**63 - 1)),
            "ip": rng.choice(ADDRESSES), "disposition": rng.choice(DISPOSITIONS), "subject": rng.choice(SUBJECTS), "id": self.fresh_id(),
        }
        if not enforced_only:
            optional |= {"in": "0", "out": "9223372036854775807", "files": "1", "rate": "1048576", "parallel": "2", "type": "image/*,text/plain", "digest": DIGEST, "renew": time_text(now + 10**6)}
        for name in rng.sample(sorted(optional), rng.randint(0, 5)):
            self.base[name] = optional[name]
        self.blocks = []

    def scope(self):
        depth = self.rng.randint(0, len(self.segments))
        return self.path if depth == len(self.segments) else "/files/" + "".join(s + "/" for s in self.segments[:depth])

    def fresh_id(self):
        return "".join(self.rng.choices("abcXYZ019._-", k=self.rng.randint(8, 64)))

    def narrowed(self, levels):
        for _ in range(levels):
            possible = {"end": time_text(self.now + self.rng.randint(600, 86400)), "uses": str(self.rng.randint(1, 99)), "id": self.fresh_id(), "allow": self.rng.choice(["read", "read,stat"]), "path": self.scope(), "ip": self.rng.choice(ADDRESSES), "start": time_text(self.now - 9), "max": "7"}
            self.blocks.append({name: possible[name] for name in self.rng.sample(sorted(possible), self.rng.randint(1, 3))})
        return self

    def sigs(self, secret=SECRET.encode()):
        chain = [mint(secret, {"path": self.path} | self.base)]
        for block in self.blocks:
            chain.append(narrow(chain[-1], block))
        return chain

    def pairs(self, sig=None):
        return pairs_of(self.base, self.blocks, sig if sig is not None else self.sigs()[-1])

    def url(self, pairs=None, shuffle=True):
        pairs = self.pairs() if pairs is None else list(pairs)
        if shuffle:
            self.rng.shuffle(pairs)
        return self.raw_url("&".join(self.spelt(pair) for pair in pairs))

    def raw_url(self, query):
        return quote(self.path, safe="/") + "?" + query

    def spelt(self, pair):
        """A pair as a query part, with escapes that need not be there: the decoded value is what counts."""
        name, value = pair
        text = quote(value, safe="/:,;*()'!@$" if self.rng.random() < 0.7 else "")
        if self.rng.random() < 0.2:
            text = text.replace("%20", "+")
        if self.rng.random() < 0.1 and value and value[0].isascii() and value[0].isalnum():
            text = f"%{ord(value[0]):02{self.rng.choice('xX')}}" + text[1:]
        return f"{name}={text}"


def for_gateway(seed, count):
    """Cases for a gateway that runs now: every third holds."""
    rng, now = random.Random(seed), int(time.time())
    return {"seed": seed, "signer": SIGNER, "secret": SECRET, "cases": [case(rng, now, number) for number in range(count)]}


def case(rng, now, number):
    """One case. Every third holds; the others walk through the families of near-misses in turn."""
    if number % 3 == 0:
        draft = Draft(rng, now, enforced_only=rng.random() < 0.9).narrowed(rng.choice([0, 0, 1, 2, 8]))
        url = draft.url()
        if rng.random() < 0.2:
            url += rng.choice(["&utm_source=x", "&fbclid=", "&a", "&&", "&vkmax=1", "&xvk=1"])
        return finish(draft, "holds", url, "valid")
    families = sorted(FAMILIES)
    family = families[(number * 2 // 3) % len(families)]
    return FAMILIES[family](Draft(rng, now, enforced_only=True), rng, family)


def finish(draft, name, url, expected):
    try:
        keys.verify({SIGNER: SECRET.encode()}, draft.method, url, draft.now, client=draft.client)
        verdict = "valid"
    except Refused as refused:
        verdict = str(refused)
    if verdict != expected:
        raise AssertionError(f"{name}: constructed as {expected}, judged {verdict}: {url}")
    limits = sorted({n for level in [draft.base] + draft.blocks for n in level})
    return {"name": name, "method": draft.method, "target": url, "expected": expected, "limits": limits}


FAMILIES = {}


def family(function):
    FAMILIES[function.__name__] = function
    return function


def _with(draft, rng):
    """A name with a good value, in the base."""
    return rng.choice(sorted(set(draft.base)))


@family
def a_required_field_is_missing(draft, rng, name):
    gone = rng.choice(["vk-signer", "vk-allow", "vk-end", "vk-sig"])
    return finish(draft, f"{name}: {gone}", draft.url([p for p in draft.pairs() if p[0] != gone]), "malformed_key")


@family
def an_optional_field_was_removed_after_signing(draft, rng, name):
    draft.base |= {"max": "10", "id": "k1"}
    gone = rng.choice(["vk-max", "vk-id"])
    return finish(draft, name, draft.url([p for p in draft.pairs() if p[0] != gone]), "bad_signature")


@family
def a_field_is_given_twice(draft, rng, name):
    pairs = draft.pairs()
    twice = rng.choice(pairs)
    value = twice[1] if rng.random() < 0.5 else {"vk-end": "2098-01-01T00:00:00Z", "vk-max": "1"}.get(twice[0], twice[1])
    pairs.insert(rng.randint(0, len(pairs)), (twice[0], value))
    return finish(draft, f"{name}: {twice[0]}", draft.url(pairs, shuffle=False), "malformed_key")


@family
def an_unknown_field_is_signed(draft, rng, name):
    draft.base[rng.choice(["colour", "version", "v", "alg", "key", "maxx", "m"])] = rng.choice(["1", "none", "x"])
    return finish(draft, name, draft.url(), "malformed_key")


@family
def a_field_name_is_in_another_spelling(draft, rng, name):
    other = rng.choice(["Vk-max", "VK-MAX", "vK-max", "%76k-max", "v%6B-max", "vk-Max", "vk%2Dmax", "%56K-max", "vk-", "vk-.1", "vk-max.", "vk-max.x", "vk-max.-1", "vk-max.+1", "vk-max%2E1"])
    return finish(draft, f"{name}: {other}", draft.url() + f"&{other}=5", "malformed_key")


@family
def a_value_is_empty(draft, rng, name):
    empty = rng.choice(keys.NAMES)
    pairs = [p for p in draft.pairs() if p[0] != f"vk-{empty}"]
    url = draft.url(pairs) + f"&vk-{empty}" + rng.choice(["", "="])
    return finish(draft, f"{name}: {empty}", url, "malformed_key")


@family
def a_value_is_not_in_its_one_spelling(draft, rng, name):
    field = rng.choice(sorted(MISSPELT))
    draft.base[field] = rng.choice(MISSPELT[field])
    return finish(draft, f"{name}: {field}={draft.base[field]!r}", draft.url(), "malformed_key")


@family
def a_value_in_a_block_is_not_in_its_one_spelling(draft, rng, name):
    field = rng.choice(sorted(set(MISSPELT) - keys.NOT_IN_BLOCKS))
    draft.blocks = [{field: rng.choice(MISSPELT[field])}]
    return finish(draft, f"{name}: {field}={draft.blocks[0][field]!r}", draft.url(), "malformed_key")


@family
def a_value_does_not_decode(draft, rng, name):
    field = rng.choice(["subject", "id", "path", "disposition", "end"])
    pairs = [p for p in draft.pairs() if p[0] != f"vk-{field}"]
    return finish(draft, f"{name}: {field}", draft.url(pairs) + f"&vk-{field}=" + rng.choice(["%", "%2", "%zz", "a%", "%ff", "%c0%ae", "%ed%a0%80", "%G1"]), "malformed_key")


@family
def min_is_over_max(draft, rng, name):
    draft.base |= {"min": "5", "max": rng.choice(["4", "0"])}
    return finish(draft, name, draft.url(), "malformed_key")


@family
def start_is_not_before_end(draft, rng, name):
    draft.base["start"] = rng.choice([draft.base["end"], "2098-01-01T00:00:00Z"])
    return finish(draft, name, draft.url(), "malformed_key")


@family
def one_bit_of_the_signature_is_flipped(draft, rng, name):
    draft.narrowed(rng.randint(0, 3))
    bit, sig = rng.randrange(256), bytearray(draft.sigs()[-1])
    sig[bit // 8] ^= 1 << bit % 8
    return finish(draft, f"{name}: {bit}", draft.url(draft.pairs(bytes(sig))), "bad_signature")


@family
def the_signature_is_in_another_spelling(draft, rng, name):
    draft.narrowed(rng.randint(0, 2))
    good = text_of(draft.sigs()[-1])
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = good[:-1] + alphabet[alphabet.index(good[-1]) | rng.randint(1, 3)]
    other = rng.choice([good + "=", good[:-1], good + "A", spare, "", good[:21], good + " ", " " + good, good.replace(good[3], "+"), good.replace(good[5], "/"), draft.sigs()[-1].hex(), good + good])
    return finish(draft, name, draft.url(draft.pairs(other) if other else [p for p in draft.pairs("x") if p[0] != "vk-sig"] + [("vk-sig", "")]), "malformed_key")


@family
def another_secret_signed(draft, rng, name):
    draft.narrowed(rng.randint(0, 3))
    return finish(draft, name, draft.url(draft.pairs(draft.sigs(OTHER_SECRET)[-1])), "bad_signature")


@family
def the_signer_is_unknown(draft, rng, name):
    draft.base["signer"] = rng.choice(["nobody", "we", "webb", "0", "-", "a" * 32])
    return finish(draft, name, draft.url(), "bad_signature")


@family
def a_value_was_changed_after_signing(draft, rng, name):
    sig = draft.sigs()[-1]
    field, value = rng.choice([("end", "2098-01-01T00:00:00Z"), ("allow", "create,read"), ("path", "/files/"), ("subject", "someone else"), ("max", "9223372036854775807"), ("uses", "9223372036854775806"), ("ip", "0.0.0.0/0,::/0"), ("disposition", "inline; x=y"), ("id", "another-id"), ("start", "2000-01-01T00:00:00Z")])
    if draft.base.get(field) == value or (field == "allow" and draft.base["allow"] == value):
        draft.base[field] = value[:-1] + "8" if field == "uses" else value
        sig = draft.sigs(OTHER_SECRET)[-1]
    draft.base[field] = value
    return finish(draft, f"{name}: {field}", draft.url(draft.pairs(sig)), "bad_signature")


@family
def another_object_under_the_same_signature(draft, rng, name):
    draft.base.pop("path", None)
    sig = draft.sigs()[-1]
    draft.path += rng.choice(["x", "/x", ".bak", "%"])
    return finish(draft, name, draft.url(draft.pairs(sig)), "bad_signature")


@family
def the_object_lies_outside_the_scope(draft, rng, name):
    draft.base["path"] = rng.choice([draft.path + "x", draft.path + "/", "/files/elsewhere/", "/other/", draft.path + "y/", "/files/" + draft.segments[0][:-1] + "\u00fe/"])
    return finish(draft, f"{name}: {draft.base['path']}", draft.url(), "out_of_scope")


@family
def the_object_lies_outside_a_block_s_scope(draft, rng, name):
    draft.narrowed(rng.randint(0, 2)).blocks.append({"path": rng.choice(["/files/elsewhere/", "/other/", draft.path + "/"])})
    return finish(draft, name, draft.url(), "out_of_scope")


@family
def the_verb_is_not_allowed(draft, rng, name):
    draft.base["allow"] = rng.choice(["create", "delete", "list", "write", "create,delete,list,write"])
    return finish(draft, name, draft.url(), "not_allowed")


@family
def a_block_allows_what_the_base_does_not(draft, rng, name):
    draft.base["allow"] = rng.choice(["create", "write", "delete"])
    draft.blocks = [{"allow": "read"}]
    return finish(draft, name, draft.url(), "not_allowed")


@family
def a_block_takes_the_verb_away(draft, rng, name):
    draft.narrowed(rng.randint(0, 2)).blocks.append({"allow": "write"})
    return finish(draft, name, draft.url(), "not_allowed")


@family
def the_end_has_passed(draft, rng, name):
    for field in ("start", "issued"):
        draft.base.pop(field, None)
    past = time_text(draft.now - rng.choice([0, 1, 60, 10**6]))
    if rng.random() < 0.5:
        draft.base["end"] = past
    else:
        draft.narrowed(rng.randint(0, 2)).blocks.append({"end": past})
    return finish(draft, name, draft.url(), "expired")


@family
def the_start_lies_ahead(draft, rng, name):
    ahead = time_text(draft.now + 300)
    draft.base["end"] = time_text(draft.now + 3600)
    place = rng.choice(["start", "issued", "block"])
    if place == "block":
        draft.blocks = [{"start": ahead}]
    else:
        draft.base[place] = ahead
    return finish(draft, f"{name}: {place}", draft.url(), "not_yet_valid")


@family
def the_client_s_address_is_another(draft, rng, name):
    other = rng.choice(["10.0.0.0/8", "128.0.0.0/1", "::/0", "126.0.0.0/8,2001:db8::/32", "127.0.0.2/32"])
    if rng.random() < 0.5:
        draft.base["ip"] = other
    else:
        draft.blocks = [{"ip": other}]
    return finish(draft, name, draft.url(), "client_not_allowed")


@family
def a_block_is_cut_off_but_its_signature_kept(draft, rng, name):
    draft.narrowed(rng.randint(1, 8))
    sig = draft.sigs()[-1]
    draft.blocks.pop()
    return finish(draft, name, draft.url(draft.pairs(sig)), "bad_signature")


@family
def a_block_is_added_under_the_old_signature(draft, rng, name):
    draft.narrowed(rng.randint(0, 3))
    sig = draft.sigs()[-1]
    draft.narrowed(1)
    return finish(draft, name, draft.url(draft.pairs(sig)), "bad_signature")


@family
def two_blocks_are_exchanged(draft, rng, name):
    draft.blocks = [{"end": time_text(draft.now + 700)}, {"end": time_text(draft.now + 800)}]
    sig = draft.sigs()[-1]
    draft.blocks.reverse()
    return finish(draft, name, draft.url(draft.pairs(sig)), "bad_signature")


@family
def a_block_number_is_skipped_or_misspelt(draft, rng, name):
    suffix = rng.choice([".2", ".8", ".0", ".9", ".10", ".01", ".1.1", ".", ".one", ".-1", ".99999999999999999999"])
    return finish(draft, f"{name}: {suffix}", draft.url() + f"&vk-end{suffix}=2098-01-01T00:00:00Z", "malformed_key")


@family
def nine_blocks(draft, rng, name):
    draft.narrowed(9)
    return finish(draft, name, draft.url(), "malformed_key")


@family
def a_block_says_what_only_the_base_may(draft, rng, name):
    field, value = rng.choice([("signer", "web"), ("policy", "avatar"), ("subject", "u1"), ("disposition", "inline"), ("renew", "2098-01-01T00:00:00Z"), ("issued", "2020-01-01T00:00:00Z"), ("sig", "A" * 43)])
    draft.blocks = [{field: value}]
    return finish(draft, f"{name}: {field}", draft.url(), "malformed_key")


@family
def a_narrowing_is_signed_as_a_base(draft, rng, name):
    draft.blocks = [{"end": time_text(draft.now + 700)}]
    sig = keys.sign(draft.sigs()[0], keys.message(draft.blocks[0]))
    return finish(draft, name, draft.url(draft.pairs(sig)), "bad_signature")


@family
def there_is_no_key(draft, rng, name):
    return finish(draft, name, draft.raw_url(rng.choice(["", "sig=x", "utm_source=x", "key=1&signer=web"])), "no_key")


def as_vectors(seed):
    """Further vectors in the published form: fixed seed, fixed time, every family several times."""
    rng, now = random.Random(seed), keys.seconds("2026-11-21T12:00:00Z")
    cases = []
    for number in range(3 * 2 * len(FAMILIES)):
        made = case(rng, now, number)
        levels = keys.verify({SIGNER: SECRET.encode()}, made["method"], made["target"], now) if made["expected"] == "valid" else []
        cases.append({"name": f"{number}: {made['name']}", "method": made["method"], "url": made["target"], "now": time_text(now), "levels": levels, "verdict": made["expected"]})
    about = "native valet keys, made by tests/independent; form as in native_keys.json; the client is 127.0.0.1"
    return {"about": about, "seed": seed, "client": "127.0.0.1", "signer": SIGNER, "secret": SECRET, "cases": cases}
