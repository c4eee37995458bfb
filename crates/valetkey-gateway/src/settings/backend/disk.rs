//! A backend that is a folder on local disk.

use super::{Backend, Findings, Reader, Section};

/// Reads a backend of kind `disk`.
pub(super) fn read(
    mut section: Section<'_>,
    reader: &Reader<'_>,
    findings: &mut Findings,
) -> Option<Backend> {
    let root = reader.path(&mut section, "root", findings);
    match &root {
        None if section.says("root") => {}
        None => {
            let other =
                if section.says("kind") { "" } else { "; for a remote store say its kind: s3, azure or gcs" };
            let heading = section.heading();
            findings.fault(section.at, format!("[{heading}] has no root, the folder of its bytes{other}"));
        }
        Some(root) if root.value.exists() && !root.value.is_dir() => {
            findings.fault(root.at, format!("root {} is not a folder", root.value.display()));
        }
        Some(_) => {}
    }
    section.finish(findings);
    Some(Backend::Disk { root: root?.value })
}
