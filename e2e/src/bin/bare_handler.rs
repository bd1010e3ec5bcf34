//! The webhook that `make bench` compares with: it reads only the uid of a review and allows all.

use anyhow::{Context as _, Result};
use axum::routing::post;
use axum::{Json, Router};
use clap::Parser;
use fastrak_api::names;
use fastrak_runtime::crypto;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Allows every review.
#[derive(Debug, Parser)]
struct Args {
    /// Address at which reviews are answered (HTTPS).
    #[arg(long)]
    listen: SocketAddr,
    /// Directory with tls.crt and tls.key.
    #[arg(long)]
    tls_dir: PathBuf,
}

#[derive(Deserialize)]
struct Asked {
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    uid: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    api_version: &'static str,
    kind: &'static str,
    response: Response,
}

#[derive(Serialize)]
struct Response {
    uid: String,
    allowed: bool,
}

async fn echo(Json(asked): Json<Asked>) -> Json<Answered> {
    let response = Response { uid: asked.request.uid, allowed: true };
    Json(Answered { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response })
}

fn main() -> Result<()> {
    let args = Args::parse();
    // As many threads as the webhook has.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("start a runtime")?.block_on(serve(&args))
}

async fn serve(args: &Args) -> Result<()> {
    let tls = TlsAcceptor::from(Arc::new(tls(&args.tls_dir)?));
    let router = Router::new().route(names::CLAIMS_PATH, post(echo));
    let listener = TcpListener::bind(args.listen).await.context("listen")?;
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        drop(tokio::spawn(serve_connection(stream, tls.clone(), router.clone())));
    }
}

async fn serve_connection(stream: TcpStream, tls: TlsAcceptor, router: Router) -> Result<()> {
    stream.set_nodelay(true).context("set TCP_NODELAY")?;
    let stream = TokioIo::new(tls.accept(stream).await.context("handshake")?);
    let service = TowerToHyperService::new(router);
    http1::Builder::new().serve_connection(stream, service).await.context("serve")
}

fn tls(directory: &Path) -> Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(directory.join("tls.crt")).context("read tls.crt")?;
    let chain = chain.collect::<Result<Vec<_>, _>>().context("read tls.crt")?;
    let key = PrivateKeyDer::from_pem_file(directory.join("tls.key")).context("read tls.key")?;
    let mut config = ServerConfig::builder_with_provider(crypto::provider())
        .with_safe_default_protocol_versions()
        .context("set up TLS")?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("set up TLS")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
