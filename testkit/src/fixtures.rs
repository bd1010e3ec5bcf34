//! Values of fastrak's own types and flags for tests. A test changes what it is about.

use crate::identity;
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::names;
use fastrak_api::volume::{IDENTITY_FORMAT, Identity, VolumeId};

/// Returns the identity of a volume of 1Gi that was made on node `node-a` for the claim `data` in
/// the namespace `shop`. It has the default class, no quota and no time in the trash.
#[must_use]
pub fn identity(volume: VolumeId) -> Identity {
    Identity {
        format: IDENTITY_FORMAT,
        volume,
        namespace: "shop".to_owned(),
        claim: "data".to_owned(),
        class: names::CLASS_DEFAULT.to_owned(),
        node: "node-a".to_owned(),
        reclaim_policy: ReclaimPolicy::Delete,
        bytes: 1 << 30,
        limit: None,
        trash_seconds: None,
        bytes_per_inode: None,
        claim_created: None,
    }
}

/// Returns the command line of a webhook on free ports of the loopback address that stops at once, and
/// these further flags.
#[must_use]
pub fn webhook_args(account: &identity::Identity, flags: &[&str]) -> Vec<String> {
    let kubeconfig = format!("--kubeconfig={}", account.kubeconfig_path().display());
    let usual = [
        "fastrak-webhook",
        "--listen=127.0.0.1:0",
        "--admin-addr=127.0.0.1:0",
        "--tls-name=127.0.0.1",
        "--drain=0",
        "--certificate-poll=1",
        kubeconfig.as_str(),
    ];
    usual.iter().chain(flags).map(|&flag| flag.to_owned()).collect()
}
