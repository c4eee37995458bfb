//! The native key over the wire: what opens, what does not, and that refusals of a kind cannot be told apart.

use std::collections::BTreeMap;

use valetkey_tests::expect::{KEY_REASONS, accepted, key_holds, refused, refused_in_words};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::{Key, encoded_sig, from_now};
use valetkey_tests::python;

const STATUSES: [(&str, u16); 8] = [
    ("malformed_key", 400),
    ("bad_signature", 403),
    ("not_yet_valid", 403),
    ("expired", 403),
    ("client_not_allowed", 403),
    ("not_allowed", 403),
    ("out_of_scope", 403),
    ("no_key", 401),
];

#[test]
fn published_vectors_hold_in_the_independent_implementation() {
    let vectors = python::root().join("docs/vectors");
    for name in ["native_keys.json", "native_keys_more.json", "native_renewals.json"] {
        let path = vectors.join(name).to_string_lossy().into_owned();
        let text = python::keys(&["--check", &path]).unwrap();
        assert!(text.ends_with("vectors, 0 wrong\n"), "{text}");
    }
}

#[test]
fn gateway_judges_published_vectors_that_time_leaves_as_they_are() {
    let gateway = Gateway::new();
    let text = std::fs::read_to_string(python::root().join("docs/vectors/native_keys.json")).unwrap();
    let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut judged = 0;
    for case in vectors["cases"].as_array().unwrap() {
        // Malformed keys and wrong signatures are refused before the clock is looked at.
        let verdict = case["verdict"].as_str().unwrap();
        if !["malformed_key", "bad_signature"].contains(&verdict) {
            continue;
        }
        let request = Request::new(case["method"].as_str().unwrap(), case["url"].as_str().unwrap());
        let answer = gateway.send(&request);
        assert_eq!(answer.reason(), verdict, "{}: {}", case["name"], case["url"]);
        refused(&answer, status_of(verdict), verdict);
        judged += 1;
    }
    assert!(judged > 40, "only {judged} vectors judged");
}

#[test]
fn gateway_agrees_with_the_independent_implementation() {
    let gateway = Gateway::new();
    let mut wrong = Vec::new();
    for seed in [1, 20_261_121] {
        for case in python::cases(seed, 600).unwrap() {
            let method = case["method"].as_str().unwrap();
            let target = case["target"].as_str().unwrap();
            let expected = case["expected"].as_str().unwrap();
            let answer = gateway.send(&Request::new(method, target));
            let agrees = match expected {
                "valid" => key_holds(&answer),
                reason => (answer.status, answer.reason()) == (status_of(reason), reason),
            };
            if !agrees {
                let got = format!("{} {}", answer.status, answer.reason());
                wrong.push(format!(
                    "seed {seed}: {}: expected {expected}, got {got}: {method} {target}",
                    case["name"]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), wrong.join("\n"));
}

/// A001: no position of the signature matters more than another, and the answer does not tell which was wrong.
#[test]
fn each_flipped_bit_of_the_signature_is_refused_alike() {
    let gateway = Gateway::new();
    gateway.plant("/files/a.txt", "secret bytes");
    let key = Key::new("/files/a.txt", "read");
    accepted(&gateway.get(key.url()), 200);
    let mut bodies = BTreeMap::<String, usize>::new();
    for bit in 0..256 {
        let mut sig = key.sig();
        sig[bit / 8] ^= 1 << (bit % 8);
        let answer = gateway.get(key.url_with_sig(&encoded_sig(&sig)));
        refused_in_words(&answer, 403, "bad_signature");
        *bodies.entry(anonymous(&answer)).or_default() += 1;
    }
    assert_eq!(bodies.len(), 1, "answers differ: {bodies:?}");
}

/// A002, A003: one key has exactly one spelling.
#[test]
fn signature_has_one_length_and_one_spelling() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a.txt", "read");
    let good = encoded_sig(&key.sig());
    let spare = good[..42].to_owned() + &next_letter(&good[42..]);
    let misspelt = [
        String::new(),
        good[..2].to_owned(),
        good[..22].to_owned(),
        good[..42].to_owned(),
        format!("{good}="),
        format!("{good}A"),
        format!("{good}AAAA"),
        format!("%20{good}"),
        spare,
        format!("+{}", &good[1..]),
        format!("%2B{}", &good[1..]),
        format!("%2F{}", &good[1..]),
    ];
    for sig in misspelt {
        refused_in_words(&gateway.get(key.url_with_sig(&sig)), 400, "malformed_key");
    }
}

/// A009: key ids cannot be listed.
#[test]
fn unknown_signer_and_wrong_signature_read_the_same() {
    let gateway = Gateway::new();
    gateway.plant("/files/a.txt", "x");
    let known = Key::new("/files/a.txt", "read").signed_by("web", "not the secret");
    let unknown = Key::new("/files/a.txt", "read").signed_by("bew", "not the secret");
    let absent = Key::new("/files/nothing-here", "read").signed_by("web", "not the secret");
    let answers = [&known, &unknown, &absent].map(|key| gateway.get(key.url()));
    for answer in &answers {
        refused_in_words(answer, 403, "bad_signature");
        assert_eq!(anonymous(answer), anonymous(&answers[0]));
        let names = |answer: &Answer| answer.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(answer), names(&answers[0]));
    }
}

/// A004, A010: nothing that a stranger writes as a signer's name is more than a refusal.
#[test]
fn odd_signer_names_are_malformed() {
    let gateway = Gateway::new();
    for signer in ["", "../web", "we\u{0}b", "web\n", "web\"", "WEB", &"w".repeat(33), &"w".repeat(20_000)] {
        let key = Key::new("/files/a.txt", "read").set("signer", signer);
        refused_in_words(&gateway.get(key.url()), 400, "malformed_key");
    }
}

/// A006 to A008: there is no version or algorithm for a holder to choose.
#[test]
fn fields_that_the_format_does_not_have_are_malformed() {
    let gateway = Gateway::new();
    for (name, value) in
        [("version", "0"), ("v", "2"), ("alg", "none"), ("alg", ""), ("key", "web"), ("method", "PUT")]
    {
        let key = Key::new("/files/a.txt", "read").set(name, value);
        refused_in_words(&gateway.get(key.url()), 400, "malformed_key");
    }
}

#[test]
fn key_travels_in_the_authorization_header_as_well() {
    let gateway = Gateway::new();
    gateway.plant("/files/a.txt", "hello");
    let key = Key::new("/files/a.txt", "read,write").set("subject", "ü +&=");
    let with = |target: String| Request::get(target).header("Authorization", key.authorization());
    let answer = gateway.send(&with(key.path()));
    accepted(&answer, 200);
    assert_eq!(answer.body, b"hello");
    accepted(&gateway.send(&with(format!("{}?utm_source=x", key.path()))), 200);
    let put = Request::put(key.path(), "new").header("Authorization", key.authorization());
    accepted(&gateway.send(&put), 200);
    let wrong = Request::get(key.path())
        .header("Authorization", format!("Valetkey {}", key.query_with_sig(&encoded_sig(&[7; 32]))));
    refused_in_words(&gateway.send(&wrong), 403, "bad_signature");
}

/// The header's scheme is a scheme: compared without case, followed by the key and nothing else.
#[test]
fn authorization_header_without_a_whole_key_is_refused() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a.txt", "read");
    gateway.plant("/files/a.txt", "hello");
    for value in ["Valetkey", "Valetkey ", "Valetkey x", "Valetkey vk-signer=web"] {
        let answer = gateway.send(&Request::get(key.path()).header("Authorization", value));
        assert!([400, 401].contains(&answer.status), "{value:?}: {} {}", answer.status, answer.reason());
        refused_in_words(
            &answer,
            answer.status,
            if answer.status == 400 { "malformed_key" } else { "no_key" },
        );
    }
    let lower =
        Request::get(key.path()).header("Authorization", key.authorization().replace("Valetkey", "valetkey"));
    accepted(&gateway.send(&lower), 200);
}

/// A014, A015: a request has one key, so that no two parts of the gateway can look at different ones.
#[test]
fn second_credential_is_refused_whatever_it_is() {
    let gateway = Gateway::new();
    gateway.plant("/files/a.txt", "hello");
    let key = Key::new("/files/a.txt", "read");
    let other = Key::new("/files/a.txt", "read").set("id", "another");
    let headers = [
        key.authorization(),
        other.authorization(),
        "Valetkey vk-sig=x".to_owned(),
        "Bearer abc".to_owned(),
        "Basic dXNlcjpwYXNz".to_owned(),
        "AWS4-HMAC-SHA256 Credential=x".to_owned(),
        String::new(),
    ];
    for value in headers {
        let answer = gateway.send(&Request::get(key.url()).header("Authorization", value.clone()));
        assert_eq!(answer.status, 400, "{value:?}: {:?}", answer.text());
        assert!(
            ["bad_request", "malformed_key"].contains(&answer.reason()),
            "{value:?}: {}",
            answer.reason()
        );
    }
    let doubled = Request::get(key.path())
        .header("Authorization", key.authorization())
        .header("Authorization", key.authorization());
    assert_eq!(gateway.send(&doubled).status, 400);
    for foreign in
        ["X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Goog-Algorithm=GOOG4-HMAC-SHA256", "sig=abc&sv=2024-01-01"]
    {
        let answer = gateway.get(format!("{}&{foreign}", key.url()));
        assert_eq!(answer.status, 400, "{foreign}: {}", answer.reason());
    }
}

#[test]
fn request_without_a_key_is_told_so_and_nothing_else() {
    let gateway = Gateway::new();
    gateway.plant("/files/a.txt", "hello");
    let targets = ["/files/a.txt", "/files/absent", "/files/", "/nothing/here", "/files/a.txt?sig=1&vkmax=2"];
    let answers = targets.map(|target| gateway.get(target));
    for answer in &answers {
        refused_in_words(answer, 401, "no_key");
        assert_eq!(anonymous(answer), anonymous(&answers[0]));
    }
}

/// The order of checks: form, signature, times, then client, verb, path. What fails first is what is said.
#[test]
fn checks_are_made_in_the_published_order() {
    let gateway = Gateway::new();
    let all_wrong = Key::new("/files/a.txt", "delete")
        .set("path", "/other/")
        .set("ip", "192.0.2.0/24")
        .set("end", &from_now(-10));
    let malformed = all_wrong.clone().set("max", "05");
    refused(&gateway.get(malformed.url()), 400, "malformed_key");
    let forged = all_wrong.clone().signed_by("web", "guess");
    refused(&gateway.get(forged.url()), 403, "bad_signature");
    refused(&gateway.get(all_wrong.url()), 403, "expired");
    let in_time = all_wrong.set("end", &from_now(60));
    refused(&gateway.get(in_time.url()), 403, "client_not_allowed");
    let here = in_time.set("ip", "127.0.0.0/8");
    refused(&gateway.get(here.url()), 403, "not_allowed");
    let reading = here.set("allow", "read");
    refused(&gateway.get(reading.url()), 403, "out_of_scope");
    refused(&gateway.get(reading.set("path", "/files/").url()), 404, "not_found");
}

/// A012: a retired secret verifies as long as the operator leaves it in.
#[test]
fn previous_secret_still_verifies() {
    let old = "b2xkLXNlY3JldC1vbGQtc2VjcmV0LW9sZC1zZWNyZXQ=";
    let new = "bmV3LXNlY3JldC1uZXctc2VjcmV0LW5ldy1zZWNyZXQ=";
    let lines = "previous_secret_file = \"valetkey-data/signers/rotated-old.secret\"\n\
                 scope = [\"/files/\"]\nallow = [\"read\"]";
    let mut gateway = Gateway::builder().signer("rotated", new, lines).write().unwrap();
    let previous = gateway.home().join("valetkey-data/signers/rotated-old.secret");
    valetkey_tests::gateway::write_secret(&previous, old).unwrap();
    gateway.start().unwrap();
    gateway.plant("/files/a.txt", "hello");
    let key = Key::new("/files/a.txt", "read");
    accepted(&gateway.get(key.clone().signed_by("rotated", new).url()), 200);
    accepted(&gateway.get(key.clone().signed_by("rotated", old).url()), 200);
    refused(&gateway.get(key.signed_by("rotated", "neither").url()), 403, "bad_signature");
}

/// A signer's scope and verbs bound every key it signs; a key beyond them opens only what both allow.
#[test]
fn signer_bounds_its_keys() {
    let lines = "scope = [\"/files/in/\"]\nallow = [\"read\", \"create\"]\nmax = 10\nip = [\"127.0.0.0/8\"]";
    let gateway = Gateway::builder().signer("small", "small secret small secret small secret", lines).start();
    gateway.plant("/files/in/a.txt", "hello");
    gateway.plant("/files/out.txt", "hello");
    let key = |object: &str, allow: &str| {
        Key::new(object, allow)
            .signed_by("small", "small secret small secret small secret")
            .set("path", "/files/")
    };
    let all = "create,delete,list,read,stat,write";
    accepted(&gateway.get(key("/files/in/a.txt", all).url()), 200);
    refused(&gateway.get(key("/files/out.txt", all).url()), 403, "out_of_scope");
    refused(&gateway.send(&Request::delete(key("/files/in/a.txt", all).url())), 403, "not_allowed");
    // Write with create gives create: something new, and nothing replaced.
    accepted(&gateway.send(&Request::put(key("/files/in/new", "write").url(), "0123456789")), 200);
    refused(&gateway.send(&Request::put(key("/files/in/a.txt", "write").url(), "x")), 412, "already_exists");
    refused(
        &gateway.send(&Request::put(key("/files/in/b", "create").url(), "0123456789a")),
        413,
        "too_large",
    );
}

#[test]
fn policy_bounds_keys_that_name_it() {
    let policy = "[policies.avatar]\nallow = [\"create\", \"read\"]\nscope = [\"/files/avatars/\"]\nmax = \"5B\"\n\
                  max_lifetime = \"2h\"\n";
    let gateway = Gateway::builder().toml(&policy.replace("\"5B\"", "5")).start();
    gateway.plant("/files/avatars/a", "hello");
    gateway.plant("/files/b", "hello");
    let key = |object: &str| {
        Key::new(object, "create,delete,read,write").set("path", "/files/").set("policy", "avatar")
    };
    accepted(&gateway.get(key("/files/avatars/a").url()), 200);
    refused(&gateway.get(key("/files/b").url()), 403, "out_of_scope");
    refused(&gateway.send(&Request::delete(key("/files/avatars/a").url())), 403, "not_allowed");
    refused(&gateway.send(&Request::put(key("/files/avatars/n").url(), "sixsix")), 413, "too_large");
    accepted(&gateway.send(&Request::put(key("/files/avatars/n").url(), "fives")), 200);
    refused(
        &gateway.get(key("/files/avatars/a").set("end", &from_now(7200 + 60)).url()),
        403,
        "lifetime_too_long",
    );
    // A089: what names a policy that is not there has no bounds that anyone agreed to.
    refused(&gateway.get(key("/files/avatars/a").set("policy", "gone").url()), 403, "policy_missing");
}

#[test]
fn lifetime_beyond_the_signers_is_refused_at_use() {
    let lines = "scope = [\"/files/\"]\nallow = [\"read\"]\nmax_lifetime = \"1h\"";
    let secret = "brief secret brief secret brief secret";
    let gateway = Gateway::builder().signer("brief", secret, lines).start();
    gateway.plant("/files/a.txt", "hello");
    let key = Key::new("/files/a.txt", "read").signed_by("brief", secret);
    accepted(&gateway.get(key.clone().set("end", &from_now(3600)).url()), 200);
    refused(&gateway.get(key.set("end", &from_now(3660)).url()), 403, "lifetime_too_long");
}

#[test]
fn narrowing_to_eight_levels_holds_and_only_narrows() {
    let gateway = Gateway::new();
    gateway.plant("/files/u/a.txt", "hello");
    gateway.plant("/files/u/b.txt", "other");
    let mut key = Key::new("/files/u/a.txt", "read,write").set("path", "/files/");
    for level in 1..=8 {
        let path = if level < 5 { "/files/u/" } else { "/files/u/a.txt" };
        key = key.narrow(&[("path", path), ("allow", "read"), ("end", &from_now(3000))]);
        accepted(&gateway.get(key.url()), 200);
        refused(&gateway.send(&Request::put(key.url(), "x")), 403, "not_allowed");
    }
    refused(&gateway.get(key.clone().on("/files/u/b.txt").url()), 403, "out_of_scope");
    refused(&gateway.get(key.narrow(&[("allow", "read")]).url()), 400, "malformed_key");
}

/// Random bytes as a key are refused in order, and the gateway lives.
#[test]
fn noise_in_place_of_a_key_is_refused() {
    let gateway = Gateway::new();
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let alphabet = "abcvk-sig=&.1%2E%00%ff+;?/:~'()*ABC09_";
    for _ in 0..1500 {
        let length = usize::try_from(next() % 120).unwrap();
        let pick = |roll: u64| {
            let index = usize::try_from(roll).unwrap_or(0) % alphabet.len();
            alphabet.as_bytes()[index]
        };
        let noise: Vec<u8> = (0..length).map(|_| pick(next() >> 33)).collect();
        let answer = gateway.get(format!("/files/a.txt?vk-{}", String::from_utf8(noise).unwrap()));
        assert!([400, 401, 403].contains(&answer.status), "{} {}", answer.status, answer.reason());
        assert!(
            KEY_REASONS.contains(&answer.reason()) || answer.reason() == "bad_request",
            "{}",
            answer.reason()
        );
    }
    assert_eq!(gateway.health().unwrap(), 200);
}

fn status_of(reason: &str) -> u16 {
    let found = STATUSES.iter().find(|(name, _)| *name == reason);
    found.map(|(_, status)| *status).unwrap_or_else(|| panic!("no status known for {reason}"))
}

/// An answer's body with its request id taken out.
fn anonymous(answer: &Answer) -> String {
    let id = answer.header("x-request-id").unwrap_or_default();
    answer.text().replace(id, "ID")
}

/// The next letter of the base64url alphabet: as the last of 43 it sets a spare bit.
fn next_letter(letter: &str) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(letter).unwrap() | 1;
    alphabet[at..=at].to_owned()
}
