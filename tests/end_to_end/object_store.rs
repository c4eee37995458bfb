//! The suite that the crate object_store holds every store against, with the gateway as its S3.

use object_store::ObjectStoreExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum, S3ConditionalPut, S3CopyIfNotExists};
use object_store::integration;
use valetkey_tests::clients::{SECRET, SIGNER};
use valetkey_tests::gateway::{Builder, Gateway};
use valetkey_tests::stores::{SeaweedFs, Store};

fn builder() -> Builder {
    let limits = "scope = [\"/files/\"]\nallow = [\"create\", \"delete\", \"list\", \"read\", \"write\"]";
    Gateway::builder().signer(SIGNER, SECRET, limits)
}

fn over_seaweedfs() -> Builder {
    let store = SeaweedFs::shared();
    builder().remote(store, store.address(), &store.bucket())
}

fn store(gateway: &Gateway) -> AmazonS3Builder {
    AmazonS3Builder::new()
        .with_endpoint(format!("http://{}", gateway.address()))
        .with_allow_http(true)
        .with_bucket_name("files")
        .with_region("us-east-1")
        .with_access_key_id(SIGNER)
        .with_secret_access_key(SECRET)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
}

/// Runs a part of the suite against a gateway.
fn holds(gateway: &Gateway, part: impl AsyncFnOnce(&AmazonS3)) {
    holds_for(store(gateway), part);
}

fn holds_for(builder: AmazonS3Builder, part: impl AsyncFnOnce(&AmazonS3)) {
    // Its HTTP client asks for one, though it speaks no TLS here; the first of all tests sets it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let store = builder.build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(part(&store));
}

/// The suite, each part of it against a gateway of its own.
macro_rules! suite {
    ($builder:path) => {
        use super::*;

        #[test]
        fn put_get_delete_list() {
            holds(&$builder().start(), async |store| integration::put_get_delete_list(store).await);
        }

        #[test]
        fn put_get_delete_list_with_unsigned_payloads() {
            let gateway = $builder().start();
            let builder = store(&gateway).with_unsigned_payload(true);
            holds_for(builder, async |store| integration::put_get_delete_list(store).await);
        }

        #[test]
        fn put_get_delete_list_with_checksums() {
            let gateway = $builder().start();
            let builder = store(&gateway).with_checksum_algorithm(Checksum::SHA256);
            holds_for(builder, async |store| integration::put_get_delete_list(store).await);
        }

        #[test]
        fn listings() {
            holds(&$builder().start(), async |store| {
                integration::list_with_offset_exclusivity(store).await;
                integration::list_uses_directories_correctly(store).await;
                integration::list_with_delimiter(store).await;
                integration::list_paginated(store, store).await;
            });
        }

        #[test]
        fn conditional_gets_and_ranges() {
            holds(&$builder().start(), async |store| integration::get_opts(store).await);
        }

        #[test]
        fn conditional_puts() {
            holds(&$builder().start(), async |store| integration::put_opts(store, true).await);
        }

        #[test]
        fn attributes() {
            holds(&$builder().start(), async |store| integration::put_get_attributes(store).await);
        }

        #[test]
        fn streams() {
            holds(&$builder().start(), async |store| integration::stream_get(store).await);
        }

        #[test]
        fn copies_and_renames() {
            holds(&$builder().start(), async |store| {
                integration::rename_and_copy(store).await;
                integration::copy_rename_nonexistent_object(store).await;
            });
        }

        #[test]
        fn copies_that_do_not_replace() {
            holds(&$builder().start(), async |store| integration::copy_if_not_exists(store).await);
        }

        #[test]
        fn multipart() {
            holds(&$builder().start(), async |store| {
                integration::multipart(store, store).await;
                integration::multipart_with_opts(store, store).await;
                integration::multipart_out_of_order(store).await;
                integration::multipart_put_part_out_of_order(store, store).await;
            });
        }

        #[test]
        fn multipart_of_two_at_once() {
            holds(&$builder().start(), async |store| {
                integration::multipart_race_condition(store, true).await
            });
        }

        #[test]
        fn what_is_not_there() {
            holds(&$builder().start(), async |store| {
                let error = integration::get_nonexistent_object(store, None).await.unwrap_err();
                assert!(matches!(error, object_store::Error::NotFound { .. }), "{error}");
                assert!(store.head(&"nothing".into()).await.is_err());
            });
        }
    };
}

mod on_disk {
    suite!(super::builder);
}

mod on_seaweedfs {
    suite!(super::over_seaweedfs);
}
