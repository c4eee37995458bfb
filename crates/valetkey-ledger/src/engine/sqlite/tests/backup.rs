//! Copies made while the ledger is in use.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn backup_of_a_running_ledger_opens_with_its_counts() {
    let (folder, path) = folder();
    let ledger = open(&path);
    hold(&ledger, "m", download_by("client"));
    let copy = folder.path().join("copy.db");
    backup(&path, &copy).unwrap();
    hold(&ledger, "m", download_by("another client"));
    check_usage(&open(&copy), "m", 1);
    check_usage(&ledger, "m", 2);
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    drop(ledger);
    let stopped = folder.path().join("stopped.db");
    backup(&path, &stopped).unwrap();
    check_usage(&open(&stopped), "m", 2);
    assert!(!folder.path().join("copy.db.partial").exists());
}

#[test]
fn backup_overwrites_nothing_and_makes_no_ledger() {
    let (folder, path) = folder();
    let copy = folder.path().join("copy.db");
    assert!(matches!(backup(&path, &copy), Err(OpenError::Missing(_))));
    assert!(!path.exists() && !copy.exists());
    drop(open(&path));
    fs::write(&copy, "mine").unwrap();
    assert!(matches!(backup(&path, &copy), Err(OpenError::Failed { path, .. }) if path == copy));
    assert!(matches!(backup(&path, &path), Err(OpenError::Failed { .. })));
    assert_eq!(fs::read(&copy).unwrap(), b"mine");
    fs::write(folder.path().join("notes"), "not a ledger, and longer than a header of 100 bytes ".repeat(9))
        .unwrap();
    assert!(backup(folder.path().join("notes"), folder.path().join("notes copy")).is_err());
    assert!(!folder.path().join("notes copy").exists());
}
