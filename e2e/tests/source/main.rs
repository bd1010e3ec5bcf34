//! The files of the repository, read as texts: rules that no lint knows, the wording, the documents
//! and the manifests.
//!
//! No test of this binary needs a cluster.
#![cfg(test)]

mod docs;
mod manifests;
mod tidy;
mod tree;
mod words;
