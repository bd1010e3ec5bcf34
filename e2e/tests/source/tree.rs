//! Reads the files of the source tree.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that are not source.
const SKIPPED: [&str; 3] = [".git", "target", "node_modules"];

/// A file of the tree.
pub(crate) struct File {
    /// The path from the root of the repository.
    pub(crate) path: String,
    /// The content.
    pub(crate) text: String,
}

/// Returns the root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Reads a file by its path from the root.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Reads all text files below a folder, sorted by their paths.
pub(crate) fn below(folder: &str) -> Vec<File> {
    let mut files = Vec::new();
    collect(&root(), &root().join(folder), &mut files);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && !SKIPPED.contains(&name.as_ref()) {
            collect(root, &path, files);
        } else if let Some(text) = path.is_file().then(|| fs::read_to_string(&path).ok()).flatten()
        {
            let path = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            files.push(File { path, text });
        }
    }
}
