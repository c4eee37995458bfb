//! The example page, in a real browser: it uploads from another origin, reads back, and learns why it is refused.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use valetkey_tests::aws::Aws;
use valetkey_tests::expect::accepted;
use valetkey_tests::form::{Form, Policy};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::Request;
use valetkey_tests::key::{Key, from_now};
use valetkey_tests::python::root;

const MIB: usize = 1 << 20;

/// A PNG of one pixel.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// The example page, served at an origin of its own.
struct Page(SocketAddr);

impl Page {
    fn serve() -> Self {
        Self::serve_page(std::fs::read(root().join("docs/examples/upload.html")).unwrap())
    }

    fn serve_page(page: Vec<u8>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    page.len()
                );
                // A browser that goes away meanwhile is no matter of this test.
                let mut request = [0; 4096];
                drop(stream.read(&mut request));
                drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&page)));
            }
        });
        Self(address)
    }

    fn origin(&self) -> String {
        format!("http://{}", self.0)
    }
}

/// A gateway, the page at an origin that its bucket names and at one that it does not.
struct Bench {
    gateway: Gateway,
    own: Page,
    foreign: Page,
}

impl Bench {
    fn new() -> Self {
        let (own, foreign) = (Page::serve(), Page::serve());
        let cors = format!("prefix = \"app/\"\n[buckets.app.cors]\norigins = [\"{}\"]", own.origin());
        let scope = "scope = [\"/app/\"]\nallow = [\"create\", \"read\", \"write\"]";
        let gateway = Gateway::builder().bucket("app", &cors).signer("pages", SECRET, scope).start();
        Self { gateway, own, foreign }
    }

    fn url(&self, key: &Key) -> String {
        format!("http://{}{}", self.gateway.address(), key.url())
    }

    /// A file that the browser's user chooses.
    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.gateway.home().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_string_lossy().into_owned()
    }

    /// The objects of the bucket.
    fn stored(&self) -> Vec<String> {
        self.gateway.stored().into_iter().filter(|name| name.starts_with("app/")).collect()
    }

    /// Has the browser take these steps; what came of each.
    fn drive(&self, steps: &[Value]) -> Vec<Value> {
        let folder = root().join("tests/browser");
        assert!(folder.join("node_modules").exists(), "run: npm ci --prefix tests/browser");
        let mut child = Command::new("node")
            .arg("drive.js")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("run node");
        let input = json!({ "page": self.own.origin(), "foreign": self.foreign.origin(), "steps": steps });
        child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let results: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(results.len(), steps.len());
        results
    }
}

const SECRET: &str = "a-secret-of-the-pages";

fn key(object: &str, allow: &str) -> Key {
    Key::new(object, allow).signed_by("pages", SECRET)
}

/// What the page says, and that it says it as a refusal or as none.
#[track_caller]
fn says(result: &Value, refused: bool, parts: &[&str]) {
    let said = result["said"].as_str().unwrap_or_default();
    assert_eq!(result["refused"], refused, "{result}");
    for part in parts {
        assert!(said.contains(part), "{part:?} in {result}");
    }
}

#[test]
fn page_of_a_configured_origin_uploads_with_progress_and_reads_back() {
    let bench = Bench::new();
    let large: Vec<u8> = (0..64 * MIB).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[2]).collect();
    let pixel = STANDARD.decode(PIXEL).unwrap();
    let film = key("/app/film.bin", "create,read").set("id", "film").set("uses", "2");
    let picture = key("/app/ü picture.png", "create,read");
    let screenshot = Path::new(env!("CARGO_TARGET_TMPDIR")).join("upload.png");
    let described = key("/app/described", "create,read");
    let put = Request::put(described.url(), "x").header("x-amz-meta-colour", "red");
    accepted(&bench.gateway.send(&put), 200);
    let results = bench.drive(&[
        json!({ "page": "own", "upload": bench.url(&film), "file": bench.file("film.bin", &large) }),
        json!({ "page": "own", "download": bench.url(&film) }),
        json!({ "page": "own", "upload": bench.url(&picture), "file": bench.file("picture.png", &pixel) }),
        json!({ "page": "own", "download": bench.url(&picture), "screenshot": screenshot }),
        json!({ "page": "own", "fetch": bench.url(&picture) }),
        json!({ "page": "own", "fetch": bench.url(&described) }),
    ]);
    let etag = bench.gateway.get(picture.url()).header("etag").unwrap().to_owned();

    says(&results[0], false, &["Uploaded film.bin, 67108864 bytes, as \""]);
    let moves: Vec<f64> = results[0]["moves"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    assert!(moves.is_sorted() && moves.first() == Some(&0.0) && moves.last() == Some(&1.0), "{moves:?}");
    assert!(moves.iter().any(|part| (0.01..0.99).contains(part)), "the bar moves meanwhile: {moves:?}");
    assert!(std::fs::read(bench.gateway.file_of("/app/film.bin")).unwrap() == large, "byte for byte");
    says(&results[1], false, &["Read 67108864 bytes of application/octet-stream"]);
    says(&results[2], false, &["Uploaded picture.png", &etag]);
    says(&results[3], false, &["of image/png"]);
    assert_eq!(results[3]["picture"], 1, "the picture is shown: {}", results[3]);
    let headers = &results[4]["headers"];
    assert_eq!(headers["etag"], etag.as_str());
    assert!(headers["x-request-id"].is_string() && headers["accept-ranges"] == "bytes", "{headers}");
    assert_eq!(results[5]["headers"]["x-amz-meta-colour"], "red", "{}", results[5]);
}

/// A refusal that a page cannot read looks to it like a broken network.
#[test]
fn page_reads_why_it_is_refused() {
    let bench = Bench::new();
    bench.gateway.plant("/app/there", "x");
    // The first can be sent whole before anybody reads; the last is more than the gateway drops on the floor.
    let [small, large, huge] = [2, 32, 200].map(|mib| bench.file(&format!("{mib}.bin"), &vec![7; mib * MIB]));
    let limited = key("/app/limited", "create").set("max", "1048576").set("uses", "1");
    let ended = key("/app/there", "read").set("end", &from_now(-1));
    let wrong = key("/app/wrong", "read");
    let screenshot = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refused.png");
    let results = bench.drive(&[
        json!({ "page": "own", "upload": bench.url(&limited), "file": small, "screenshot": screenshot }),
        json!({ "page": "own", "upload": bench.url(&limited), "file": large }),
        json!({ "page": "own", "upload": bench.url(&limited), "file": huge }),
        json!({ "page": "own", "upload": bench.url(&wrong), "file": large }),
        json!({ "page": "own", "download": bench.url(&ended) }),
        json!({ "page": "own", "fetch": bench.url(&ended) }),
        json!({ "page": "own", "fetch": bench.url(&ended), "method": "HEAD" }),
    ]);
    for (result, bytes) in results.iter().zip(["2097152", "33554432", "209715200"]) {
        says(result, true, &["This file is too large.", bytes, "1048576", "(413 too_large:"]);
    }
    says(&results[3], true, &["The gateway refuses this. (403 not_allowed:"]);
    says(&results[4], true, &["Ask for a new upload link.", "(403 expired:"]);
    assert_eq!((&results[5]["status"], &results[6]["status"]), (&json!(403), &json!(403)));
    for result in &results[5..] {
        assert_eq!(result["headers"]["x-valetkey-reason"], "expired", "{result}");
    }
    let problem: Value = serde_json::from_str(results[5]["text"].as_str().unwrap()).unwrap();
    assert_eq!(problem["reason"], "expired");
    assert_eq!(problem["request_id"], results[5]["headers"]["x-request-id"]);
    assert_eq!(bench.stored(), ["app/there"]);
}

/// A page without a script, at an origin that no bucket names: a form needs none.
#[test]
fn page_without_a_script_sends_a_form() {
    let bench = Bench::new();
    let write = |python: &str, argument: &str| {
        let output = Command::new("python3")
            .args(["-c", &format!("import sys\nfrom form import *\n{python}"), argument])
            .env("PYTHONPATH", root().join("docs/examples"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Page::serve_page(output.stdout)
    };
    let url =
        bench.url(&key("/app/ü \"picture\" & more.png", "create").set("type", "image/png").set("uses", "1"));
    let native = write("print(page(*of_url(sys.argv[1])))", &url);

    let aws = Aws { signer: "pages".to_owned(), secret: SECRET.to_owned(), ..Aws::default() };
    let done = format!("{}/", bench.own.origin());
    let policy = Policy { expiration: from_now(600), conditions: Vec::new() }
        .with(json!({ "bucket": "app" }))
        .with(json!(["starts-with", "$key", "in/"]))
        .with(json!({ "success_action_redirect": done }))
        .with(json!({ "x-vk-max": "100" }));
    let form = Form::signed(&aws, &policy, "in/${filename}").field("success_action_redirect", &done);
    let fields: serde_json::Map<_, _> =
        form.fields().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let address = format!("http://{}/app/", bench.gateway.address());
    let given = json!({ "address": address, "fields": fields }).to_string();
    let signed = write(
        "import json\ngiven = json.loads(sys.argv[1])\nprint(page(given['address'], given['fields']))",
        &given,
    );

    let pixel = STANDARD.decode(PIXEL).unwrap();
    let (picture, large) = (bench.file("my picture.png", &pixel), bench.file("large.png", &[7; 101]));
    let results = bench.drive(&[
        json!({ "form": native.origin() + "/", "file": picture }),
        json!({ "form": native.origin() + "/", "file": picture }),
        json!({ "form": signed.origin() + "/", "file": picture }),
        json!({ "form": signed.origin() + "/", "file": large }),
    ]);
    assert_eq!(results[0]["status"], 200, "{}", results[0]);
    assert!(std::fs::read(bench.gateway.file_of("/app/ü \"picture\" & more.png")).unwrap() == pixel);
    assert_eq!(results[1]["status"], 412, "{}", results[1]);
    assert!(results[1]["text"].as_str().unwrap().contains("already_exists"), "{}", results[1]);
    assert_eq!(results[2]["status"], 303, "{}", results[2]);
    let at = results[2]["at"].as_str().unwrap();
    assert!(at.starts_with(&format!("{done}?bucket=app&key=in%2Fmy%20picture.png&etag=%22")), "{at}");
    assert!(std::fs::read(bench.gateway.file_of("/app/in/my picture.png")).unwrap() == pixel);
    assert_eq!(results[3]["status"], 400, "{}", results[3]);
    assert!(results[3]["text"].as_str().unwrap().contains("EntityTooLarge"), "{}", results[3]);
}

#[test]
fn page_of_another_origin_neither_uploads_nor_reads() {
    let bench = Bench::new();
    bench.gateway.plant("/app/there", "secret");
    let (upload, there) = (key("/app/new", "create"), key("/app/there", "read"));
    let file = bench.file("a.txt", b"hello");
    let results = bench.drive(&[
        json!({ "page": "foreign", "upload": bench.url(&upload), "file": file }),
        json!({ "page": "foreign", "download": bench.url(&there) }),
        json!({ "page": "foreign", "fetch": bench.url(&there) }),
        json!({ "page": "own", "fetch": bench.url(&there) }),
    ]);
    says(&results[0], true, &["no answer", "origin is not configured"]);
    says(&results[1], true, &[]);
    assert!(results[2]["error"].is_string() && results[2]["text"].is_null(), "{}", results[2]);
    assert_eq!(results[3]["text"], "secret");
    assert_eq!(bench.stored(), ["app/there"]);
}
