//! The policies of `deploy/base`, `deploy/addresses` and `deploy/inlets` limit what a stolen token of
//! fastrak's accounts can do, on a real API server. Every refusal in `docs/security.md` is tested,
//! beside the requests of the programs.

mod agent_claims;
mod agent_nodes;
mod agent_volumes;
mod clients;
mod speaker;
mod tunnels;
mod webhook;
