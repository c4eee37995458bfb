//! The S3 clients that applications use, each in its own words, against a real gateway.
//!
//! A test runs one script of `tests/clients`; what the script says is shown where it fails.

use valetkey_tests::clients::{SECRET, SIGNER, node, python, told};
use valetkey_tests::gateway::{Builder, Gateway};
use valetkey_tests::stores::{SeaweedFs, Store};

/// A bucket with opaque ETags, one whose ETags are MD5 sums, and one that the clients' signer cannot see.
fn builder() -> Builder {
    let limits =
        "scope = [\"/files/\", \"/sums/\"]\nallow = [\"create\", \"delete\", \"list\", \"read\", \"write\"]";
    Gateway::builder()
        .bucket("sums", "prefix = \"sums/\"\netag = \"md5\"")
        .bucket("closed", "prefix = \"closed/\"")
        .signer(SIGNER, SECRET, limits)
}

/// The same over a store.
fn over_seaweedfs() -> Builder {
    let store = SeaweedFs::shared();
    builder().remote(store, store.address(), &store.bucket())
}

/// Runs a script in Python against a gateway.
fn run(gateway: &Gateway, script: &str, bucket: &str) {
    if let Err(error) = python(script, &[], &told(gateway, bucket)) {
        panic!("{script} in /{bucket}/: {error:#}");
    }
}

fn run_node(gateway: &Gateway, script: &str, bucket: &str) {
    if let Err(error) = node(script, &told(gateway, bucket)) {
        panic!("{script} in /{bucket}/: {error:#}");
    }
}

/// The clients, each against a gateway of its own.
macro_rules! clients {
    ($builder:path) => {
        use super::{run, run_node};

        #[test]
        fn boto3_presigns() {
            run(&$builder().start(), "boto3_presigned.py", "files");
        }

        #[test]
        fn boto3_mints_limits() {
            run(&$builder().start(), "boto3_limits.py", "files");
        }

        #[test]
        fn boto3_does_what_applications_do() {
            run(&$builder().start(), "boto3_operations.py", "files");
        }

        #[test]
        fn boto3_transfers_in_parts() {
            let gateway = $builder().start();
            run(&gateway, "boto3_transfers.py", "files");
            run(&gateway, "boto3_transfers.py", "sums");
        }

        #[test]
        fn javascript_sdk() {
            run_node(&$builder().start(), "sdk.mjs", "files");
        }

        #[test]
        fn rclone() {
            let gateway = $builder().start();
            run(&gateway, "rclone.py", "files");
            run(&gateway, "rclone.py", "sums");
        }

        #[test]
        fn s3cmd() {
            run(&$builder().start(), "s3cmd.py", "sums");
        }

        #[test]
        fn boto3_makes_forms() {
            run(&$builder().start(), "boto3_forms.py", "files");
        }

        #[test]
        fn aws_command_line() {
            run(&$builder().start(), "aws_cli.py", "files");
        }

        #[test]
        fn minio_py() {
            run(&$builder().start(), "minio_py.py", "files");
        }

        #[test]
        fn curl_signs_by_itself() {
            run(&$builder().start(), "curl.py", "files");
        }
    };
}

mod on_disk {
    clients!(super::builder);
}

mod on_seaweedfs {
    clients!(super::over_seaweedfs);
}

#[test]
fn boto3_over_tls() {
    run(&builder().tls().start(), "boto3_tls.py", "files");
}

#[test]
fn javascript_sdk_over_tls() {
    run_node(&builder().tls().start(), "sdk.mjs", "files");
}
