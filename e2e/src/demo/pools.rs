//! Reads the pools of the nodes.

use anyhow::{Context, Result};
use std::path::Path;

/// Returns the text of a file in the volume of the claim with this uid.
pub(super) fn read(pool: &Path, uid: &str, file: &str) -> Result<String> {
    let path = pool.join(uid).join("data").join(file);
    std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// Returns the volumes in a pool, also those in staging and in the trash.
pub fn volumes(pool: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for directory in [pool.to_owned(), pool.join(".staging"), pool.join(".trash")] {
        if !directory.exists() {
            continue;
        }
        let entries = std::fs::read_dir(&directory);
        for entry in entries.with_context(|| format!("list {}", directory.display()))? {
            let name = entry.with_context(|| format!("list {}", directory.display()))?.file_name();
            let name = name.to_string_lossy().into_owned();
            if directory != pool || !name.starts_with('.') {
                found.push(name);
            }
        }
    }
    Ok(found)
}
