//! Checks the corpus of the fuzz targets and rows of pseudo-random choices with the oracle of the
//! fuzz targets, so that every past finding is tested without a fuzzer.
#![cfg(test)]

#[path = "../../fuzz/oracle/oracle.rs"]
mod oracle;

use std::path::Path;

/// The number of rows of choices in addition to the corpus.
const ROWS: u32 = 5_000;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let files = entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    let files: Vec<_> = files.collect();
    assert!(files.len() >= 8, "only {} files in {}", files.len(), folder.display());
    files
}

/// Returns different rows of bytes, the same on every run.
fn rows() -> impl Iterator<Item = Vec<u8>> {
    (0..ROWS).map(|row| {
        let mut state = row.wrapping_mul(0x9E37_79B9) ^ 0x5A5A_5A5A;
        let next = || {
            // xorshift
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[1]
        };
        std::iter::repeat_with(next).take(64).collect()
    })
}

#[test]
fn reviews_of_the_corpus_hold() {
    corpus("review").iter().for_each(|data| oracle::review(data));
}

#[test]
fn claims_of_the_corpus_and_of_many_choices_hold() {
    corpus("claim").into_iter().chain(rows()).for_each(|data| oracle::claim(&data));
}

#[test]
fn services_of_the_corpus_and_of_many_choices_hold() {
    corpus("service").into_iter().chain(rows()).for_each(|data| oracle::service(&data));
}

#[test]
fn sizes_of_the_corpus_hold() {
    corpus("quantity").iter().for_each(|data| oracle::quantity(data));
}
