//! The bundle that callers are to believe, as it is published at each moment, and how many
//! authorities of it have come to vouch for a certificate that was shown.

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

/// What is published, followed by a watch.
#[derive(Debug)]
pub(crate) struct Published {
    now: watch::Receiver<Arc<ClientConfig>>,
    seen: Arc<Mutex<Seen>>,
    follower: JoinHandle<()>,
}

/// All that there has been.
#[derive(Debug, Default)]
struct Seen {
    authorities: BTreeSet<String>,
    /// Those of which a certificate was shown.
    served: BTreeSet<String>,
    leaves: BTreeSet<Vec<u8>>,
}

impl Published {
    /// Follows it, from a moment at which something is published.
    pub(crate) async fn follow(client: Client) -> Result<Self> {
        let all: Api<MutatingWebhookConfiguration> = Api::all(client);
        let found = all.get(names::WEBHOOK_CONFIGURATION).await.context("read the registration")?;
        let first = bundle(&found).context("no bundle is published")?;
        let mut seen = Seen::default();
        seen.publish(&first)?;
        let seen = Arc::new(Mutex::new(seen));
        let (sender, now) = watch::channel(trusting(&first)?);
        let follower = tokio::spawn(follow(all, sender, Arc::clone(&seen)));
        Ok(Self { now, seen, follower })
    }

    /// Whom to believe now.
    #[must_use]
    pub(crate) fn now(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.now.borrow())
    }

    /// Takes note of a certificate that was shown.
    pub(crate) fn shown(&self, leaf: &[u8]) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).show(leaf);
    }

    /// How many authorities have followed the first, up to a certificate of theirs that was shown.
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
        // One that cannot be read changes nothing: an API server would be as stuck.
        if let (Ok(tls), Ok(())) = (trusting(&bundle), noted) {
            sender.send_replace(tls);
        }
    }
}

impl Seen {
    fn publish(&mut self, bundle: &[u8]) -> Result<()> {
        let text = std::str::from_utf8(bundle).context("a bundle that is no text")?;
        self.authorities.extend(Bundle::parse(text).context("read a bundle")?.iter());
        Ok(())
    }

    fn show(&mut self, leaf: &[u8]) {
        if !self.leaves.insert(leaf.to_vec()) {
            return;
        }
        let text = STANDARD.encode(leaf);
        let leaf = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        let vouches = |authority: &&String| {
            let bundle = Bundle::parse(authority.as_str());
            bundle.is_ok_and(|bundle| bundle.trusts(&leaf, clock::offset_now()))
        };
        self.served.extend(self.authorities.iter().filter(vouches).cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrak_certs::{CertificateAuthority, LeafRequest, Usage, Validity};
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    #[test]
    fn an_authority_counts_once_a_certificate_of_it_is_shown() {
        let validity = Validity::starting(clock::offset_now(), time::Duration::days(1));
        let authority = || CertificateAuthority::generate("same name", validity).unwrap();
        let leaf = |authority: &CertificateAuthority| {
            let request = LeafRequest {
                common_name: "leaf".to_owned(),
                organization: None,
                names: vec!["127.0.0.1".to_owned()],
                usage: Usage::Server,
                validity,
            };
            let pair = authority.issue(&request).unwrap();
            CertificateDer::from_pem_slice(pair.cert_pem.as_bytes()).unwrap()
        };
        let (one, two) = (authority(), authority());
        let mut seen = Seen::default();
        seen.publish(format!("{}{}", one.cert_pem(), two.cert_pem()).as_bytes()).unwrap();
        assert_eq!((seen.authorities.len(), seen.served.len()), (2, 0));
        seen.show(&leaf(&one));
        seen.show(&leaf(&one));
        assert_eq!(seen.served.len(), 1);
        seen.show(&leaf(&two));
        seen.show(&leaf(&authority()));
        assert_eq!((seen.leaves.len(), seen.served.len()), (4, 2));
    }
}
