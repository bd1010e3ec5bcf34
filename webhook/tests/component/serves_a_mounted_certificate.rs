//! A certificate of the operator, mounted as Kubernetes mounts a Secret, is published, read back
//! and served, and so is its successor.

use crate::continuous_client::{ContinuousClient, Excused, call};
use crate::publishes_its_certificate::Seen;
use crate::test_cluster::{SOON, TestCluster};
use anyhow::{Result, ensure};
use fastrak_api::names;
use fastrak_certs::{Bundle, CertificateAuthority, KeyPairPem, LeafRequest, Usage, Validity};
use fastrak_runtime::clock;
use fastrak_testkit::webhook_configuration::fail_closed;
use fastrak_testkit::{Options, eventually, or_skip};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use time::Duration;

const NAMES: [&str; 2] = ["fastrak-webhook.fastrak-system.svc", "127.0.0.1"];

fn ca() -> Result<CertificateAuthority> {
    Ok(CertificateAuthority::generate(
        "theirs",
        Validity::starting(clock::offset_now(), Duration::days(10)),
    )?)
}

fn issue(ca: &CertificateAuthority, names: &[&str]) -> Result<KeyPairPem> {
    Ok(ca.issue(&LeafRequest {
        common_name: "theirs".to_owned(),
        organization: None,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        usage: Usage::Server,
        validity: Validity::starting(clock::offset_now(), Duration::days(5)),
    })?)
}

/// A folder like the kubelet's: files are links through `..data`, which is replaced atomically.
struct Volume {
    folder: PathBuf,
    count: usize,
}

impl Volume {
    fn new(folder: PathBuf) -> Result<Self> {
        for file in ["tls.crt", "tls.key", "ca.crt"] {
            symlink(Path::new("..data").join(file), folder.join(file))?;
        }
        Ok(Self { folder, count: 0 })
    }

    fn swap(&mut self, pair: &KeyPairPem, ca: Option<&CertificateAuthority>) -> Result<()> {
        self.count += 1;
        let name = format!("..{}", self.count);
        let inner = self.folder.join(&name);
        fs::create_dir(&inner)?;
        fs::write(inner.join("tls.crt"), &pair.cert_pem)?;
        fs::write(inner.join("tls.key"), &pair.key_pem)?;
        if let Some(ca) = ca {
            fs::write(inner.join("ca.crt"), ca.cert_pem())?;
        }
        let link = self.folder.join("..data_tmp");
        symlink(&name, &link)?;
        fs::rename(link, self.folder.join("..data"))?;
        Ok(())
    }

    fn flag(&self) -> String {
        format!("--tls-dir={}", self.folder.display())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mounted_ca_is_published_with_the_last_one_and_replaced_without_a_gap() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let seen = Seen::by(&cluster);
    let mut volume = Volume::new(cluster.plane.scratch_dir("tls")?)?;
    let (first, second) = (ca()?, ca()?);
    volume.swap(&issue(&first, &NAMES)?, Some(&first))?;
    let webhook = cluster.webhook(&[&volume.flag(), "--bundle-settle=1s"]).await?;
    ensure!(seen.secrets.get_opt(names::WEBHOOK_SECRET).await?.is_none(), "no Secret is made");
    fail_closed(&cluster.client).await?;
    let caller =
        ContinuousClient::direct(&cluster, vec![webhook.address], Excused::Nothing).await?;
    let caller = caller.and_through_the_api_server(&cluster);
    let is_served = async |by: &CertificateAuthority| {
        eventually(SOON, "it is served", || call(webhook.address, by.cert_pem().as_bytes())).await
    };
    is_served(&first).await?;

    // The certificate of another CA is served after that CA is published.
    volume.swap(&issue(&second, &NAMES)?, Some(&second))?;
    is_served(&second).await?;
    let bundles = seen.bundles().await?;
    ensure!(bundles.len() == 1, "{bundles:?}");
    let bundle = Bundle::salvage(&String::from_utf8_lossy(bundles.first().expect("one")));
    let bundle: Vec<_> = bundle.iter().collect();
    ensure!(bundle == [second.cert_pem(), first.cert_pem()], "{bundle:?}");

    // A pair that does not match is not served, and is reported.
    let wrong = KeyPairPem {
        cert_pem: issue(&second, &NAMES)?.cert_pem,
        key_pem: issue(&second, &NAMES)?.key_pem,
    };
    let stranger = issue(&second, &["elsewhere.example"])?;
    for (at, pair, trusted) in
        [(1, &wrong, &second), (2, &stranger, &second), (3, &issue(&first, &NAMES)?, &second)]
    {
        volume.swap(pair, Some(trusted))?;
        eventually(SOON, "it is reported", || async {
            let reported = failures(&webhook.metrics().await?)?;
            ensure!(reported >= at, "{reported} of {at}");
            Ok(())
        })
        .await?;
        is_served(&second).await?;
    }
    // A matching pair is served again.
    volume.swap(&issue(&first, &NAMES)?, Some(&first))?;
    is_served(&first).await?;
    caller.finish().await?;
    webhook.stop().await
}

#[tokio::test]
async fn without_a_mounted_ca_the_bundle_is_not_written() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    without_rights_to_certificates(&cluster).await?;
    let seen = Seen::by(&cluster);
    let mut volume = Volume::new(cluster.plane.scratch_dir("tls")?)?;
    let (first, second) = (ca()?, ca()?);
    volume.swap(&issue(&first, &NAMES)?, None)?;
    let webhook = cluster.run(&[&volume.flag()]).await?;
    webhook.is_ready().await?;
    call(webhook.address, first.cert_pem().as_bytes()).await?;
    ensure!(seen.bundles().await? == [Vec::new()].into(), "nothing is published");

    // The operator writes the bundle. A certificate that it does not trust yet is not served.
    publish(&seen, first.cert_pem()).await?;
    volume.swap(&issue(&second, &NAMES)?, None)?;
    eventually(SOON, "the webhook reports that the new one is not trusted", || async {
        let metrics = webhook.metrics().await?;
        ensure!(metrics.contains("bundle_match 0"), "{metrics}");
        Ok(())
    })
    .await?;
    call(webhook.address, first.cert_pem().as_bytes()).await?;
    publish(&seen, &[first.cert_pem(), second.cert_pem()].concat()).await?;
    eventually(SOON, "the new one is served", || {
        call(webhook.address, second.cert_pem().as_bytes())
    })
    .await?;
    webhook.stop().await
}

/// Removes the rights that `deploy/cert-manager` removes: to the Secret, and to write the webhook
/// configuration.
async fn without_rights_to_certificates(cluster: &TestCluster) -> Result<()> {
    let (role, cluster_role) = (names::WEBHOOK_CERTIFICATES, names::WEBHOOK_CA_BUNDLE);
    cluster.plane.kubectl(&["delete", "role", role, "-n", names::NAMESPACE]).await?;
    cluster.plane.kubectl(&["delete", "clusterrole", cluster_role]).await?;
    Ok(())
}

fn failures(metrics: &str) -> Result<u64> {
    let name = r#"fastrak_webhook_rotation_failures_total{cause="mounted"} "#;
    let reported = metrics.lines().find_map(|line| line.strip_prefix(name));
    Ok(reported.unwrap_or("0").parse()?)
}

async fn publish(seen: &Seen, bundle: &str) -> Result<()> {
    let bundle = k8s_openapi::ByteString(bundle.as_bytes().to_vec());
    let found = seen.configurations.get(names::WEBHOOK_CONFIGURATION).await?;
    let each = (0..found.webhooks.unwrap_or_default().len()).map(|at| {
        let path = format!("/webhooks/{at}/clientConfig/caBundle");
        serde_json::json!({"op": "add", "path": path, "value": bundle})
    });
    let patch = kube::api::Patch::Json::<()>(serde_json::from_value(each.collect())?);
    let params = kube::api::PatchParams::default();
    seen.configurations.patch(names::WEBHOOK_CONFIGURATION, &params, &patch).await?;
    Ok(())
}
