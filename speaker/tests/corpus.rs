//! Checks the corpus of the fuzz target with its oracle, so that every past finding is tested
//! without a fuzzer.
#![cfg(test)]

#[path = "../../fuzz/oracle/frames.rs"]
mod frames;

use std::path::Path;

#[test]
fn packets_of_the_corpus_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/frame");
    let entries: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
    assert!(entries.len() >= 8, "only {} files in {}", entries.len(), folder.display());
    for entry in entries {
        frames::frame(&std::fs::read(entry.unwrap().path()).unwrap());
    }
}
