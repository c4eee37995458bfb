//! What ships beside the program: the unit is as tight as its page says.

use std::process::Command;

use valetkey_tests::python::root;

/// Somewhat over the exposure that docs/INSTALL.md names, in tenths: another systemd weighs a little differently.
const EXPOSURE_MAX: &str = "--threshold=15";

#[test]
fn the_unit_exposes_no_more_than_documented() {
    let unit = root().join("deploy/valetkey.service");
    let output = Command::new("systemd-analyze")
        .args(["security", "--no-pager", "--offline=true", EXPOSURE_MAX])
        .arg(&unit)
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("deploy/valetkey.service:"), "a line of the unit is not understood: {said}");
    let page = std::fs::read_to_string(root().join("docs/INSTALL.md")).unwrap();
    assert!(page.contains("an exposure of 1.1 of 10"));
}
