//! Limits on what a directory may hold that the kernel itself enforces, and what it holds: no
//! shell, no helper, no walk through files.

pub mod project;
