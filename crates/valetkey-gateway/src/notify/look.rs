//! Reading records back, the newest first.

use std::collections::HashSet;
use std::io;

use super::chain::ChainKey;
use super::files::{Back, ChainFile, Siblings};
use crate::settings;

/// The newest `count` records as they stand in the log, the oldest of them first.
///
/// # Errors
/// Where a file cannot be read.
pub fn newest(settings: &settings::Audit, key: &ChainKey, count: usize) -> io::Result<Vec<String>> {
    let text = |line: io::Result<Vec<u8>>| line.map(|line| String::from_utf8_lossy(&line).into_owned());
    let mut lines: Vec<_> = back(settings, key)?.take(count).map(text).collect::<io::Result<_>>()?;
    lines.reverse();
    Ok(lines)
}

/// Those of `request_ids` that have a record among the newest `lines_max`.
///
/// # Errors
/// Where a file cannot be read.
pub fn requests_among(
    settings: &settings::Audit,
    key: &ChainKey,
    request_ids: &[String],
    lines_max: usize,
) -> io::Result<HashSet<String>> {
    let mut sought: Vec<&String> = request_ids.iter().collect();
    let mut found = HashSet::new();
    let mut lines = back(settings, key)?.take(lines_max);
    while !sought.is_empty()
        && let Some(line) = lines.next()
    {
        let line = line?;
        let text = String::from_utf8_lossy(&line);
        sought.retain(|id| {
            // An id is ours, so JSON spells it as it is; a text that quotes it would have its quotes escaped.
            let is_here = text.contains(&format!("\"request_id\":\"{id}\""));
            if is_here {
                found.insert((*id).clone());
            }
            !is_here
        });
    }
    Ok(found)
}

fn back(settings: &settings::Audit, key: &ChainKey) -> io::Result<Back> {
    let file = ChainFile::open(&settings.path)?;
    Back::new(file, Siblings::of(&settings.path, &settings.key_file, key)?)
}
