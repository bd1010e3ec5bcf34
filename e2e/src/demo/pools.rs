//! What is in the pools of the nodes, as someone who logs in there would see it.
//!
//! It only reads.

use anyhow::{Context, Result};
use std::path::Path;

/// The text of a file that a pod has written into the volume of the claim with this uid.
pub(super) fn read(pool: &Path, uid: &str, file: &str) -> Result<String> {
    let path = pool.join(uid).join("data").join(file);
    std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// What there is in a pool beside its own furniture: volumes, and what is on its way in or out.
pub fn volumes(pool: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in [pool.to_owned(), pool.join(".staging"), pool.join(".trash")] {
        if !folder.exists() {
            continue;
        }
        let entries = std::fs::read_dir(&folder);
        for entry in entries.with_context(|| format!("list {}", folder.display()))? {
            let name = entry.with_context(|| format!("list {}", folder.display()))?.file_name();
            let name = name.to_string_lossy().into_owned();
            if folder != pool || !name.starts_with('.') {
                found.push(name);
            }
        }
    }
    Ok(found)
}
