//! The agent against a real API server and controller manager, as the ServiceAccount with exactly
//! the rights that `deploy/base` grants. No kubelet runs here: nothing is mounted unless a test
//! does.

mod adopts;
mod bad_pools;
mod bounded_memory;
mod collects_orphans;
mod deletes;
mod grows;
mod hostile_tenant;
mod imports;
mod pool_capacity;
mod populators;
mod provisions;
mod quotas;
mod refuses;
mod reinstalls;
mod removes;
mod scene;
mod survives_kills;
mod undeletes;
