//! Admission policies and match conditions on a real API server: the policies that replace or
//! accompany the webhook, and those that restrict fastrak's own accounts.
#![cfg(test)]

mod agreement;
mod isolation;
mod match_conditions;
