//! What is done at intervals: looking after the pools, comparing them with the cluster, emptying the
//! trash, finding out what volumes hold.
//!
//! It decides nothing about a volume: what it finds is handed to the workers.

pub mod pools;
pub mod scan;
pub mod stuck;
pub mod trash;
pub mod usage;
