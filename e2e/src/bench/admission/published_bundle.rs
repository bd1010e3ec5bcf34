//! Follows the published bundle, and counts the CAs of it that have issued a served certificate.

use super::cluster::bundle;
use super::connection::trusting;
use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrak_api::names;
use fastrak_certs::Bundle;
use fastrak_runtime::clock;
use futures::StreamExt as _;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use rustls::ClientConfig;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The published bundle, followed by a watch.
#[derive(Debug)]
pub(crate) struct Published {
    now: watch::Receiver<Arc<ClientConfig>>,
    seen: Arc<Mutex<Seen>>,
    follower: JoinHandle<()>,
}

/// All CAs and certificates so far.
#[derive(Debug, Default)]
struct Seen {
    cas: BTreeSet<String>,
    /// The CAs of which a certificate was served.
    served: BTreeSet<String>,
    leaves: BTreeSet<Vec<u8>>,
}

impl Published {
    /// Starts to follow the bundle, which must be published already.
    pub(crate) async fn follow(client: Client) -> Result<Self> {
        let all: Api<MutatingWebhookConfiguration> = Api::all(client);
        let found = all
            .get(names::WEBHOOK_CONFIGURATION)
            .await
            .context("read the webhook configuration")?;
        let first = bundle(&found).context("no bundle is published")?;
        let mut seen = Seen::default();
        seen.publish(&first)?;
        let seen = Arc::new(Mutex::new(seen));
        let (sender, now) = watch::channel(trusting(&first)?);
        let follower = tokio::spawn(follow(all, sender, Arc::clone(&seen)));
        Ok(Self { now, seen, follower })
    }

    /// Returns the TLS configuration with the current bundle.
    #[must_use]
    pub(crate) fn now(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.now.borrow())
    }

    /// Records a served certificate.
    pub(crate) fn shown(&self, leaf: &[u8]) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).show(leaf);
    }

    /// Returns the number of CAs after the first of which a certificate was served.
    #[must_use]
    pub(crate) fn rotations(&self) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.served.len().saturating_sub(1)
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

async fn follow(
    all: Api<MutatingWebhookConfiguration>,
    sender: watch::Sender<Arc<ClientConfig>>,
    seen: Arc<Mutex<Seen>>,
) {
    let only = format!("metadata.name={}", names::WEBHOOK_CONFIGURATION);
    let config = watcher::Config::default().fields(&only);
    let versions = watcher(all, config).default_backoff().applied_objects();
    let mut versions = std::pin::pin!(versions);
    while let Some(version) = versions.next().await {
        let Some(bundle) = version.ok().as_ref().and_then(bundle) else { continue };
        let noted = seen.lock().unwrap_or_else(PoisonError::into_inner).publish(&bundle);
        // An invalid bundle changes nothing.
        if let (Ok(tls), Ok(())) = (trusting(&bundle), noted) {
            sender.send_replace(tls);
        }
    }
}

impl Seen {
    fn publish(&mut self, bundle: &[u8]) -> Result<()> {
        let text = std::str::from_utf8(bundle).context("a bundle that is not UTF-8")?;
        self.cas.extend(Bundle::parse(text).context("read a bundle")?.iter());
        Ok(())
    }

    fn show(&mut self, leaf: &[u8]) {
        if !self.leaves.insert(leaf.to_vec()) {
            return;
        }
        let text = STANDARD.encode(leaf);
        let leaf = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        let has_issued = |ca: &&String| {
            let bundle = Bundle::parse(ca.as_str());
            bundle.is_ok_and(|bundle| bundle.trusts(&leaf, clock::offset_now()))
        };
        self.served.extend(self.cas.iter().filter(has_issued).cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrak_certs::{CertificateAuthority, LeafRequest, Usage, Validity};
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    #[test]
    fn a_ca_counts_after_a_certificate_of_it_is_served() {
        let validity = Validity::starting(clock::offset_now(), time::Duration::days(1));
        let ca = || CertificateAuthority::generate("same name", validity).unwrap();
        let leaf = |ca: &CertificateAuthority| {
            let request = LeafRequest {
                common_name: "leaf".to_owned(),
                organization: None,
                names: vec!["127.0.0.1".to_owned()],
                usage: Usage::Server,
                validity,
            };
            let pair = ca.issue(&request).unwrap();
            CertificateDer::from_pem_slice(pair.cert_pem.as_bytes()).unwrap()
        };
        let (one, two) = (ca(), ca());
        let mut seen = Seen::default();
        seen.publish(format!("{}{}", one.cert_pem(), two.cert_pem()).as_bytes()).unwrap();
        assert_eq!((seen.cas.len(), seen.served.len()), (2, 0));
        seen.show(&leaf(&one));
        seen.show(&leaf(&one));
        assert_eq!(seen.served.len(), 1);
        seen.show(&leaf(&two));
        seen.show(&leaf(&ca()));
        assert_eq!((seen.leaves.len(), seen.served.len()), (4, 2));
    }
}
