//! What a stolen token is worth: each account of fastrak's, held to its own by the policies of
//! `deploy/base` on a real API server.
//!
//! Every refusal in `docs/security.md` is asserted here, and beside it what the program itself does.

mod agent_claims;
mod agent_nodes;
mod agent_volumes;
mod clients;
mod webhook;
