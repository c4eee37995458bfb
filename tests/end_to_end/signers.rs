//! The signers that the documentation shows: short, on the standard library alone, quoted to the letter, and working.

use std::process::Command;

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::Request;
use valetkey_tests::python::root;

const SIGNERS: [(&str, &str); 2] = [("python3", "docs/signers/sign.py"), ("node", "docs/signers/sign.js")];

fn sign(gateway: &Gateway, (program, script): (&str, &str), path: &str, limits: &[&str]) -> String {
    let server = format!("http://{}", gateway.address());
    let output = Command::new(program)
        .arg(root().join(script))
        .args(["valetkey-data/signers/web.secret", &server, path])
        .args(limits)
        .current_dir(gateway.home())
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    let url = String::from_utf8(output.stdout).unwrap();
    url.trim_end().strip_prefix(&server).unwrap().to_owned()
}

#[test]
fn urls_of_the_documented_signers_open_and_refuse() {
    let gateway = Gateway::new();
    for signer in SIGNERS {
        let path = format!("/files/{}/a b+c&ü'(1)*.txt", signer.0);
        let id = format!("id={}", signer.0);
        let upload = sign(&gateway, signer, &path, &["allow=create", "max=5", "uses=1", &id]);
        refused(&gateway.send(&Request::put(&upload, "123456")), 413, "too_large");
        accepted(&gateway.send(&Request::put(&upload, "hello")), 200);
        assert_eq!(std::fs::read(gateway.file_of(&path)).unwrap(), b"hello");
        let limits = ["allow=read", "subject=ü 42=+&", "disposition=attachment; filename=\"x y.txt\""];
        let download = sign(&gateway, signer, &path, &limits);
        let answer = gateway.get(&download);
        accepted(&answer, 200);
        assert_eq!(answer.body, b"hello");
        assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"x y.txt\""));
        refused(&gateway.send(&Request::put(&download, "x")), 403, "not_allowed");
        let subtree = sign(&gateway, signer, "/files/d/", &["allow=read"]);
        assert!(subtree.starts_with("/files/d/?"), "{subtree}");
    }
}

#[test]
fn readme_quotes_them_to_the_letter() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md is there");
    for (_, script) in SIGNERS {
        let text = std::fs::read_to_string(root().join(script)).unwrap();
        assert!(readme.contains(text.trim_end()), "README.md quotes {script} as it is");
        assert!(text.lines().count() <= 13, "{script} stays short");
    }
}
