//! The installation from `deploy/`: what an API server accepts, what each component changes, and
//! that the granted rights are those that the programs use.
#![cfg(test)]

mod base;
mod components;
mod rights;
mod speaker;
mod tunnels;
