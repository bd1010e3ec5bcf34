//! The TLS port of metrics serves only clients that the API server authorizes, also when something
//! fails.

use crate::http;
use crate::server::{ca, connect, leaf, rest, trusting};
use crate::test_cluster::{Running, SOON, TestCluster};
use anyhow::{Context as _, Result, ensure};
use fastrak_certs::{CertificateAuthority, Usage};
use fastrak_testkit::assets::repository;
use fastrak_testkit::{Component, Options, apply_manifests, eventually, or_skip};
use rustls::ClientConfig;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// The metrics port of a webhook, and a client that trusts it.
struct Port {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Port {
    async fn scrape(&self, token: Option<&str>) -> Result<(u16, String)> {
        let answer = self.answer(token).await?;
        http::parse(answer.as_bytes())
    }

    /// The whole response, header and body.
    async fn answer(&self, token: Option<&str>) -> Result<String> {
        let mut connection = connect(self.address, Arc::clone(&self.config)).await?;
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let token = token.unwrap_or_default();
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{token}Connection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        Ok(String::from_utf8(rest(&mut connection).await?)?)
    }
}

/// Writes a certificate of this CA into the folder.
fn certify(folder: &Path, ca: &CertificateAuthority) -> Result<()> {
    let pair = leaf(ca, "metrics", Usage::Server)?;
    std::fs::write(folder.join("tls.crt"), pair.cert_pem)?;
    std::fs::write(folder.join("tls.key"), pair.key_pem)?;
    Ok(())
}

fn client(ca: &CertificateAuthority) -> Result<Arc<ClientConfig>> {
    Ok(Arc::new(trusting(ca.cert_pem())?.with_no_client_auth()))
}

async fn run(cluster: &TestCluster, folder: &Path) -> Result<(Running, SocketAddr)> {
    let folder = format!("--metrics-tls-dir={}", folder.display());
    let webhook = cluster.run(&["--metrics-addr=127.0.0.1:0", &folder]).await?;
    let address = webhook.metrics_port.context("the metrics have a port")?;
    Ok((webhook, address))
}

/// Returns a token of a ServiceAccount in the namespace `default`, which is created if needed.
async fn token(cluster: &TestCluster, account: &str, more: &[&str]) -> Result<String> {
    let made = cluster.plane.kubectl(&["create", "serviceaccount", account]).await;
    drop(made);
    let token = cluster.plane.kubectl(&[&["create", "token", account], more].concat()).await?;
    Ok(token.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_served_to_authorized_clients_only() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let (folder, ca) = (tempfile::tempdir()?, ca("metrics")?);
    certify(folder.path(), &ca)?;
    let (webhook, address) = run(&cluster, folder.path()).await?;
    let port = Port { address, config: client(&ca)? };
    let reader = token(&cluster, "reader", &[]).await?;
    let stranger = token(&cluster, "stranger", &[]).await?;

    // Without the component, the webhook may not create TokenReviews.
    let (status, body) = eventually(SOON, "the certificate is loaded", || async {
        port.scrape(Some(&reader)).await
    })
    .await?;
    ensure!(status == 500 && body.contains("may not create TokenReviews"), "{status}: {body}");

    let component = repository().join("deploy/metrics-auth");
    apply_manifests(&cluster.plane, &component.join("rbac.yaml")).await?;
    let binding =
        ["create", "clusterrolebinding", "reader", "--clusterrole=fastrak-metrics-reader"];
    let binding = [&binding[..], &["--serviceaccount=default:reader"]].concat();
    cluster.plane.kubectl(&binding).await?;
    eventually(SOON, "an authorized client gets them", || async {
        let (status, body) = port.scrape(Some(&reader)).await?;
        ensure!(status == 200 && body.contains("fastrak_webhook_default_classes"), "{body}");
        Ok(())
    })
    .await?;

    let (status, body) = port.scrape(Some(&stranger)).await?;
    ensure!(status == 403 && body.contains("system:serviceaccount:default:stranger"), "{body}");
    ensure!(body.contains(r#"nonResourceURLs ["/metrics"]"#), "{body}");
    let answer = port.answer(None).await?;
    ensure!(answer.starts_with("HTTP/1.1 401") && answer.contains("no bearer token"), "{answer}");
    ensure!(answer.to_lowercase().contains("www-authenticate: bearer"), "{answer}");
    let elsewhere = token(&cluster, "reader", &["--audience=elsewhere"]).await?;
    for refused in ["garbage", &elsewhere] {
        let (status, body) = port.scrape(Some(refused)).await?;
        ensure!(status == 401 && body.contains("does not accept the token"), "{status}: {body}");
    }
    let (_, body) = port.scrape(Some(&reader)).await?;
    for (outcome, least) in [("allowed", 2), ("unauthenticated", 3), ("forbidden", 1)] {
        let name = format!("fastrak_webhook_metrics_scrapes_total{{outcome=\"{outcome}\"}} ");
        let count = body.lines().find_map(|line| line.strip_prefix(&name));
        ensure!(count.context(outcome)?.parse::<u32>()? >= least, "{outcome}: {body}");
    }

    // The admin port does not serve them.
    let (status, body) = http::get(webhook.admin, "/metrics").await?;
    ensure!(status == 404 && body.contains("--metrics-addr"), "{status}: {body}");
    assert_eq!(http::get(webhook.admin, "/livez").await?.0, 200);

    // A token that cannot be checked is refused.
    cluster.plane.stop_component(Component::ApiServer)?;
    for refused in ["garbage", &stranger] {
        let (status, body) = port.scrape(Some(refused)).await?;
        ensure!(status == 503 && body.contains("access cannot be checked"), "{status}: {body}");
    }
    webhook.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_is_loaded_when_it_appears_and_when_it_changes() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let folder = tempfile::tempdir()?;
    let (webhook, address) = run(&cluster, folder.path()).await?;
    let (first, second) = (ca("first")?, ca("second")?);
    let is_presented = async |ca: &CertificateAuthority| {
        let port = Port { address, config: client(ca)? };
        eventually(SOON, "its certificate is presented", || async {
            let (status, body) = port.scrape(None).await?;
            ensure!(status == 401, "{status}: {body}");
            Ok(())
        })
        .await
    };
    let is_said = async |text: &str| {
        eventually(SOON, text.to_owned(), || async {
            let body = http::get(webhook.admin, "/readyz").await?.1;
            ensure!(body.contains("[!] metrics certificate: ") && body.contains(text), "{body}");
            Ok(())
        })
        .await
    };
    is_said("tls.crt").await?;
    certify(folder.path(), &first)?;
    is_presented(&first).await?;
    // An unusable certificate changes nothing.
    std::fs::write(folder.path().join("tls.key"), "garbage")?;
    is_said("the key is not PEM").await?;
    is_presented(&first).await?;
    certify(folder.path(), &second)?;
    is_presented(&second).await?;
    let body = http::get(webhook.admin, "/readyz").await?.1;
    ensure!(!body.contains("metrics certificate"), "{body}");

    // Connections without a handshake do not block others.
    let mut held = Vec::new();
    for _ in 0..600 {
        held.push(TcpStream::connect(address).await?);
    }
    is_presented(&second).await?;
    webhook.stop().await
}
