//! Asks the API server for a claim that is not to be made, to see whether it still reaches us. A
//! webhook that is not called cannot know it otherwise: its registration fails open, so nobody
//! complains. It reports what is wrong and repairs nothing, and it makes no replica less ready: to
//! send callers elsewhere helps nobody whom no caller reaches.

pub mod cause;
pub mod controller;
pub mod metrics;
pub mod plan;
