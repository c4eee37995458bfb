//! A166 to A168: whatever comes in, and at whatever level of words, nothing that opens a door comes out.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use valetkey_tests::expect::accepted;
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::{Key, WEB_SECRET, encode, encoded_sig};
use valetkey_tests::process::valetkey;

/// How long a piece of a secret must be to count as leaked.
const PIECE: usize = 12;

/// Every piece of what must stay secret, in every spelling in which it could be written.
struct Secrets(HashSet<Vec<u8>>);

impl Secrets {
    fn of(keys: &[Key], others: &[&str]) -> Self {
        let mut texts: Vec<Vec<u8>> = others.iter().map(|text| text.as_bytes().to_vec()).collect();
        for sig in keys.iter().flat_map(Key::sigs) {
            let hex: String = sig.iter().map(|byte| format!("{byte:02x}")).collect();
            texts.extend([encoded_sig(&sig).into_bytes(), hex.to_uppercase().into_bytes(), hex.into_bytes()]);
            texts.push(sig.to_vec());
        }
        Self(texts.iter().flat_map(|text| text.windows(PIECE)).map(<[u8]>::to_vec).collect())
    }

    fn find(&self, bytes: &[u8]) -> Option<usize> {
        bytes.windows(PIECE).position(|piece| self.0.contains(piece))
    }

    #[track_caller]
    fn check_absent(&self, what: &str, bytes: &[u8]) {
        if let Some(at) = self.find(bytes) {
            let around = &bytes[at.saturating_sub(200)..bytes.len().min(at + 60)];
            panic!("{what} holds a piece of a secret: {}", String::from_utf8_lossy(around));
        }
    }
}

/// All files of the gateway but the signers' secrets, the objects, and the socket, which has no content.
fn check_files(secrets: &Secrets, folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name().unwrap().to_str().unwrap() {
            "signers" | "objects" => {}
            _ if path.is_dir() => check_files(secrets, &path),
            "admin.sock" => {}
            name => secrets.check_absent(name, &fs::read(&path).unwrap()),
        }
    }
}

fn check_answer(secrets: &Secrets, what: &str, answer: &Answer) {
    secrets.check_absent(what, format!("{:?}", answer.headers).as_bytes());
    secrets.check_absent(what, &answer.body);
}

/// What strangers and careless clients do with a key's query.
fn requests(key: &Key) -> Vec<Request> {
    let (path, query, sig) = (key.path(), key.query(), encoded_sig(&key.sig()));
    let last = if sig.ends_with('A') { "E" } else { "A" };
    let wrong = format!("{}{last}", &sig[..sig.len() - 1]);
    let url = key.url();
    let mut requests = vec![
        Request::get(&url),
        Request::head(&url),
        Request::put(&url, "y"),
        Request::delete(&url),
        Request::new("POST", &url),
        Request::new("OPTIONS", &url),
        Request::new("BREW", &url),
        Request::get(&path).header("Authorization", key.authorization()),
        Request::get(&path).header("Authorization", format!("{} ", key.authorization())),
        Request::get(&path).header("Authorization", format!("valetkey {query}&vk-max=05")),
        Request::get(&path).header("Authorization", format!("Bearer {sig}")),
        Request::get(&path).header("Authorization", sig.clone()),
        Request::get(&url).header("Authorization", key.authorization()),
    ];
    // Signatures that are nearly right, and keys that are not well-formed.
    for sig in [
        wrong,
        sig[..42].to_owned(),
        format!("{sig}="),
        format!("{sig}{sig}"),
        format!("%{sig}"),
        format!("{sig}%00"),
        encode(&sig, ""),
    ] {
        requests.push(Request::get(key.url_with_sig(&sig)));
    }
    for query in [
        format!("{query}&vk-sig={sig}"),
        format!("{query}&vk-sig.1={sig}"),
        format!("{query}&vk-sgi={sig}"),
        format!("{query}&vk-{sig}=1"),
        format!("{query}&vk-sig{sig}"),
        format!("{query}&vk-id={sig}"),
        format!("{query}&vk-max={sig}"),
        format!("{query}&vk-end.1={sig}"),
        format!("{query}&utm_source={sig}"),
        format!("{query}&response-content-type={sig}"),
        format!("{query}&X-Amz-Signature={sig}"),
        format!("{query}&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={sig}"),
        format!("{query}&sv=1&sig={sig}"),
        query.replace("vk-sig", "VK-Sig"),
        query.replace("vk-sig", "%76k-sig"),
        query.replace("vk-sig", "%2576k-sig"),
        query.replace('&', "&amp;"),
        query.replace("vk-sig=", "vk-sig"),
        query.replace("vk-sig=", ""),
        query.replace("vk-signer=web", "vk-signer=nobody"),
        encode(&query, ""),
        sig.clone(),
    ] {
        requests.push(Request::get(format!("{path}?{query}")));
        requests.push(Request::put(format!("{path}?{query}"), "y"));
    }
    // The key in places where it has no business.
    for name in
        ["Referer", "User-Agent", "Cookie", "Origin", "X-Forwarded-For", "Host", "Range", "If-Match", "Via"]
    {
        requests.push(Request::get(&url).header(name, format!("http://localhost{url}")));
        requests.push(Request::get(&url).header(name, format!("vk-sig={sig}")));
    }
    for name in
        ["Content-MD5", "Digest", "X-Amz-Date", "X-Vk-Sig", "Expect", "Content-Encoding", "Tus-Resumable"]
    {
        requests.push(Request::put(&url, "y").header(name, format!("vk-sig={sig}")));
    }
    for target in [
        format!("{path}%3F{query}?{query}"),
        format!("{path}%3F{}", encode(&query, "")),
        format!("{path}/{query}?{query}"),
        format!("/-/key?{query}"),
        format!("/-/{query}"),
        format!("/nobucket/{}?{query}", encode(&format!("vk-sig={sig}"), "")),
        format!("/{query}"),
        format!("http://localhost{url}"),
        format!("http://{query}@localhost{url}"),
    ] {
        requests.push(Request::get(&target));
        requests.push(Request::put(&target, "y"));
    }
    requests
}

#[test]
fn nothing_that_opens_a_door_is_written_anywhere() {
    let mut gateway = Gateway::builder().env("RUST_LOG", "trace").audit_lines("rotate = \"64KiB\"").start();
    gateway.plant("/files/a", "x");
    let all = |key: Key| key.set("path", "/files/").set("subject", "subject-text");
    let rights = "create,delete,list,read,stat,write";
    let keys = [
        all(Key::new("/files/a", rights)),
        all(Key::new("/files/a", rights)).set("uses", "100000").set("id", "counted"),
        all(Key::new("/files/a", rights))
            .set("uses", "100000")
            .set("id", "narrowed")
            .narrow(&[("allow", "delete,read,write"), ("uses", "50000")]),
        all(Key::new("/files/a", rights))
            .narrow(&[("allow", "read,write")])
            .narrow(&[("id", "leaf"), ("allow", "read")]),
        all(Key::new("/files/a", rights)).set("end", "2020-01-01T00:00:00Z"),
    ];
    let secrets = Secrets::of(&keys, &[WEB_SECRET]);
    assert!(secrets.find(keys[0].url().as_bytes()).is_some(), "what is looked for is what a client sends");
    for key in &keys {
        gateway.plant("/files/a", "x");
        for request in requests(key) {
            let what = format!("the answer to {request:?}");
            let answer = gateway.connect().exchange(&request);
            if let Ok(answer) = answer {
                check_answer(&secrets, &what, &answer);
            }
        }
        hostile_bytes(&gateway, &secrets, key);
        over_http2(&gateway, &secrets, key);
    }
    // A name that holds another key's query: the store and the ledger need it as it is, the records do not.
    let other = all(Key::new("/files/b", rights)).set("id", "other");
    let named =
        all(Key::new(&format!("/files/{}", other.query()), rights)).set("uses", "5").set("id", "name");
    accepted(&gateway.send(&Request::put(named.url(), "y")), 200);
    accepted(&gateway.get(named.url()), 200);
    gateway.restart().unwrap();
    let named = Secrets::of(&[other], &[]);
    named.check_absent("the log", gateway.stderr().as_bytes());
    let audit = valetkey(gateway.home(), ["audit", "tail", "-n", "100000", "--json"]).unwrap().stdout;
    assert!(String::from_utf8_lossy(&audit).contains("vk-sig=***"));
    named.check_absent("the audit log", &audit);

    let running = gateway.stderr();
    assert!(running.contains("DEBUG") || running.contains("TRACE") || running.contains("INFO"), "{running}");
    check_files(&secrets, gateway.home());
    for command in
        [&["audit", "tail", "-n", "100000"][..], &["audit", "verify"], &["check"], &["check", "--json"]]
    {
        let output = valetkey(gateway.home(), command).unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        secrets.check_absent(&command.join(" "), &output.stdout);
        secrets.check_absent(&command.join(" "), &output.stderr);
    }
    gateway.kill9().unwrap();
    check_files(&secrets, gateway.home());
    gateway.start().unwrap();
    gateway.stop().unwrap();
    check_files(&secrets, gateway.home());
}

/// What is no HTTP, with a key in it.
fn hostile_bytes(gateway: &Gateway, secrets: &Secrets, key: &Key) {
    let (url, sig) = (key.url(), encoded_sig(&key.sig()));
    for bytes in [
        format!("GET {url} HTTP/1.1\r\nHost: a\r\nBroken Header: vk-sig={sig}\r\n\r\n"),
        format!("GET {url} HTTP/9.9\r\nHost: a\r\n\r\n"),
        format!("GET {url}\r\n\r\n"),
        format!("{url}\r\n\r\n"),
        format!("GET {url} HTTP/1.1\r\nHost: a\r\nX: \u{1}{sig}\r\n\r\n"),
        format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", url.replace('?', "?\u{7f}")),
        format!("PUT {url} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nvk-sig={sig}\r\n"),
        format!("PUT {url} HTTP/1.1\r\nHost: a\r\nContent-Length: vk-sig={sig}\r\n\r\n"),
    ] {
        let mut connection = gateway.connect();
        connection.send(bytes.as_bytes()).unwrap();
        // Whether it answers or closes at once.
        let answer = connection.drain().unwrap_or_default();
        secrets.check_absent(&format!("the answer to {bytes:?}"), &answer);
    }
}

fn over_http2(gateway: &Gateway, secrets: &Secrets, key: &Key) {
    let url = format!("http://{}{}", gateway.address(), key.url());
    let authorization = format!("Authorization: {}", key.authorization());
    let path = format!("http://{}{}", gateway.address(), key.path());
    for arguments in
        [vec![url.as_str()], vec![path.as_str(), "-H", &authorization], vec![&url, "-H", &authorization]]
    {
        let output = Command::new("curl")
            .args(["-s", "-i", "--max-time", "20", "--http2-prior-knowledge"])
            .args(arguments)
            .output()
            .unwrap();
        secrets.check_absent("an answer over HTTP/2", &output.stdout);
    }
}
