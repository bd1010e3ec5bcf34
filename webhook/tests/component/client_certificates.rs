//! Client certificates: ignored, observed or required.

use crate::server::{Server, Setup, ca, connect, leaf, request};
use anyhow::{Context as _, Result, ensure};
use fastrak_certs::{CertificateAuthority, KeyPairPem, Usage};
use fastrak_testkit::eventually;
use fastrak_webhook::serve::client_ca::ClientAuthArgs;
use fastrak_webhook::serve::clients::ClientAuth;
use fastrak_webhook::serve::metrics::ClientCertificate;
use rustls::{ClientConfig, HandshakeKind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

const SOON: Duration = Duration::from_secs(10);

/// Starts a server with the client CAs of this file.
async fn server(auth: ClientAuth, file: &Path, names: &[&str]) -> Result<Server> {
    let names = names.iter().map(ToString::to_string).collect();
    let clients =
        ClientAuthArgs { client_auth: auth, client_ca: Some(file.to_owned()), client_names: names };
    Server::of(&Setup { clients, ..Setup::new()? }).await
}

/// Creates a file with the certificate of a CA.
fn file(ca: &CertificateAuthority) -> Result<tempfile::NamedTempFile> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), ca.cert_pem())?;
    Ok(file)
}

fn client(ca: &CertificateAuthority, name: &str) -> Result<KeyPairPem> {
    leaf(ca, name, Usage::Client)
}

/// Fails if a client is not answered. A refused client may notice only when it reads.
async fn is_answered(server: &Server, config: ClientConfig) -> Result<()> {
    let mut connection = connect(server.address, config).await?;
    connection.write_all(&request("POST /claims")).await?;
    let text = crate::drains::answer(&mut connection).await?;
    ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
    Ok(())
}

fn counted(server: &Server) -> [u64; 3] {
    let counters = &server.metrics.serving.client_certificates;
    let of = |it: ClientCertificate| counters.get_or_create(&[("outcome", it.as_str())]).get();
    [ClientCertificate::None, ClientCertificate::Untrusted, ClientCertificate::Trusted].map(of)
}

#[tokio::test]
async fn without_client_authentication_no_certificate_is_counted() -> Result<()> {
    let server = Server::of(&Setup::new()?).await?;
    is_answered(&server, server.client_with(&client(&ca("any")?, "any")?)?).await?;
    assert_eq!(counted(&server), [0, 0, 0]);
    Ok(())
}

#[tokio::test]
async fn observed_clients_are_counted_and_answered() -> Result<()> {
    let (known, other) = (ca("known")?, ca("other")?);
    let file = file(&known)?;
    let server = server(ClientAuth::Observe, file.path(), &[]).await?;
    is_answered(&server, server.client()?).await?;
    is_answered(&server, server.client_with(&client(&other, "a")?)?).await?;
    is_answered(&server, server.client_with(&client(&known, "a")?)?).await?;
    assert_eq!(counted(&server), [1, 1, 1]);
    Ok(())
}

#[tokio::test]
async fn only_trusted_certificates_are_accepted_if_one_is_required() -> Result<()> {
    let (known, other) = (ca("known")?, ca("other")?);
    let file = file(&known)?;
    let server = server(ClientAuth::Require, file.path(), &["kube-apiserver"]).await?;
    let with = |ca: &CertificateAuthority, name: &str| server.client_with(&client(ca, name)?);
    ensure!(is_answered(&server, server.client()?).await.is_err(), "without a certificate");
    ensure!(is_answered(&server, with(&other, "kube-apiserver")?).await.is_err(), "of another CA");
    ensure!(is_answered(&server, with(&known, "somebody")?).await.is_err(), "another name");
    let servers = leaf(&known, "kube-apiserver", Usage::Server)?;
    let servers = server.client_with(&servers)?;
    ensure!(is_answered(&server, servers).await.is_err(), "a server certificate");
    is_answered(&server, with(&known, "kube-apiserver")?).await?;
    assert_eq!(counted(&server), [1, 3, 1]);
    let text = server.shown_metrics()?;
    let refused = r#"handshake_failures_total{cause="client_certificate"} 4"#;
    ensure!(text.contains(refused), "{text}");
    Ok(())
}

#[tokio::test]
async fn another_ca_is_trusted_once_it_is_in_the_file() -> Result<()> {
    let (first, second) = (ca("first")?, ca("second")?);
    let file = file(&first)?;
    let server = server(ClientAuth::Require, file.path(), &[]).await?;
    let with = |ca: &CertificateAuthority| server.client_with(&client(ca, "a")?);
    is_answered(&server, with(&first)?).await?;
    ensure!(is_answered(&server, with(&second)?).await.is_err(), "it is not known yet");

    // An unusable file changes nothing, nor does a missing one.
    for odd in ["", "rubbish", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"] {
        std::fs::write(file.path(), odd)?;
        is_answered(&server, with(&first)?).await.context(odd)?;
    }
    std::fs::remove_file(file.path())?;
    is_answered(&server, with(&first)?).await?;

    std::fs::write(file.path(), second.cert_pem())?;
    eventually(SOON, "the other is trusted", || async {
        is_answered(&server, with(&second)?).await
    })
    .await?;
    ensure!(is_answered(&server, with(&first)?).await.is_err(), "the first is trusted no more");
    Ok(())
}

#[tokio::test]
async fn sessions_are_not_resumed() -> Result<()> {
    let known = ca("known")?;
    let file = file(&known)?;
    let server = server(ClientAuth::Require, file.path(), &[]).await?;
    let config = Arc::new(server.client_with(&client(&known, "a")?)?);
    for _ in 0..3 {
        let mut connection = connect(server.address, Arc::clone(&config)).await?;
        connection.write_all(&request("POST /claims")).await?;
        crate::drains::answer(&mut connection).await?;
        assert_eq!(connection.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
    assert_eq!(counted(&server), [0, 0, 3]);
    Ok(())
}

#[tokio::test]
async fn an_empty_or_missing_file_at_the_start_is_an_error() -> Result<()> {
    let gone = tempfile::tempdir()?.path().join("ca.crt");
    ensure!(server(ClientAuth::Require, &gone, &[]).await.is_err(), "there is no file");
    let empty = tempfile::NamedTempFile::new()?;
    ensure!(server(ClientAuth::Observe, empty.path(), &[]).await.is_err(), "it is empty");
    Ok(())
}
