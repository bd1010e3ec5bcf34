//! Container images as docker archives with one layer of a few files, so that no registry is
//! needed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sha2::{Digest, Sha256};

/// The block size of a tar archive.
const BLOCK: usize = 512;

/// The type of the ELF program header that names a loader.
const PT_INTERP: usize = 3;

/// An image of one layer.
#[derive(Debug, Clone)]
pub struct Image {
    tags: Vec<String>,
    entries: Vec<Entry>,
    entrypoint: Vec<String>,
}

#[derive(Debug, Clone)]
struct Entry {
    path: String,
    mode: u32,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Directory,
    File(Vec<u8>),
    Link(String),
}

impl Image {
    /// Returns an empty image.
    #[must_use]
    pub fn scratch(tags: &[&str]) -> Self {
        let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
        Self { tags, entries: Vec::new(), entrypoint: Vec::new() }
    }

    /// Returns an image with one static binary at `/<name>` as its entrypoint.
    pub fn of_binary(binary: &Path, tag: &str) -> Result<Self> {
        let name = binary.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} has no name", binary.display()))?;
        let bytes = std::fs::read(binary);
        let bytes = bytes.with_context(|| format!("read {}", binary.display()))?;
        ensure!(!is_dynamic(&bytes), "{} is not a static binary", binary.display());
        Ok(Self::scratch(&[tag]).file(name, 0o755, bytes).starts(&[&format!("/{name}")]))
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.with(&format!("{path}/"), mode, Content::Directory)
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) -> Self {
        self.with(path, mode, Content::File(bytes.into()))
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.with(path, 0o777, Content::Link(target.to_owned()))
    }

    /// Sets the entrypoint.
    #[must_use]
    pub fn starts(mut self, words: &[&str]) -> Self {
        self.entrypoint = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Returns the tags.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Writes the archive for `ctr images import` or `docker load`.
    pub fn write(&self, path: &Path) -> Result<()> {
        let layer = archive(&self.entries)?;
        let diff = format!("sha256:{}", hexadecimal(&Sha256::digest(&layer)));
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": { "Entrypoint": self.entrypoint, "Env": ["PATH=/bin"] },
            "rootfs": { "type": "layers", "diff_ids": [diff] },
        });
        let manifest =
            json!([{ "Config": "config.json", "RepoTags": self.tags, "Layers": ["layer.tar"] }]);
        let parts = [
            ("manifest.json", manifest.to_string().into_bytes()),
            ("config.json", config.to_string().into_bytes()),
            ("layer.tar", layer),
        ];
        let entries = parts.map(|(name, bytes)| Entry {
            path: name.to_owned(),
            mode: 0o644,
            content: Content::File(bytes),
        });
        let file = File::create(path).with_context(|| format!("make {}", path.display()))?;
        let mut file = BufWriter::new(file);
        file.write_all(&archive(&entries)?).context("write an image")?;
        file.flush().context("write the end of an image")
    }

    fn with(mut self, path: &str, mode: u32, content: Content) -> Self {
        self.entries.push(Entry { path: path.to_owned(), mode, content });
        self
    }
}

/// Returns whether a program needs a loader, which an image without a C library does not have.
#[must_use]
pub(crate) fn is_dynamic(program: &[u8]) -> bool {
    // The offset, size, number and type of the program headers of a 64-bit ELF file.
    let number = |at: usize, width: usize| -> Option<usize> {
        let bytes = program.get(at..at.checked_add(width)?)?;
        Some(bytes.iter().rev().fold(0, |sum, &byte| (sum << 8) | usize::from(byte)))
    };
    let headers = || {
        let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        Some((0..count).filter_map(move |at| number(start.checked_add(at * size)?, 4)))
    };
    headers().is_some_and(|mut types| types.any(|kind| kind == PT_INTERP))
}

fn archive(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    for entry in entries {
        archive.extend(header(entry)?);
        if let Content::File(bytes) = &entry.content {
            archive.extend(bytes);
            archive.resize(archive.len().next_multiple_of(BLOCK), 0);
        }
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    Ok(archive)
}

// The offsets of the fields of a ustar header (POSIX pax): name 0, mode 100,
// uid 108, gid 116, size 124, mtime 136, chksum 148, typeflag 156, linkname 157, magic 257.
fn header(entry: &Entry) -> Result<[u8; BLOCK]> {
    let (kind, size, link) = match &entry.content {
        Content::File(bytes) => (b"0", bytes.len(), ""),
        Content::Link(target) => (b"2", 0, target.as_str()),
        Content::Directory => (b"5", 0, ""),
    };
    ensure!(entry.path.len() < 100 && link.len() < 100, "{} is too long a name", entry.path);
    let mut header = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        let field = header.iter_mut().skip(at);
        field.zip(bytes).for_each(|(place, &byte)| *place = byte);
    };
    put(0, entry.path.as_bytes());
    put(100, format!("{:07o}", entry.mode).as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000");
    // The checksum is computed with spaces in its own field.
    put(148, b"        ");
    put(156, kind);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    header.iter_mut().skip(148).zip(sum.bytes()).for_each(|(place, byte)| *place = byte);
    Ok(header)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests;
