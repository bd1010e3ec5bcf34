//! The webhook's server alone, with short limits and a certificate of its own, and a client that can
//! send whatever it likes. No API server is needed to be rude to it.

use anyhow::{Context as _, Result};
use arc_swap::ArcSwapOption;
use fastrak_certs::{Authority, LeafRequest, Usage, Validity};
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::{clock, crypto};
use fastrak_webhook::facts::Facts;
use fastrak_webhook::metrics::Metrics;
use fastrak_webhook::mutate::service::{Alternative, Balancer, Settings};
use fastrak_webhook::serve::http::{Desk, router};
use fastrak_webhook::serve::tls::{self, Slot};
use fastrak_webhook::serve::{self, Counter, Limits};
use prometheus_client::registry::Registry;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use time::Duration as Time;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Limits that a test can wait for.
pub(crate) const LIMITS: Limits = Limits {
    connections: 32,
    handshake: Duration::from_millis(300),
    header: Duration::from_millis(300),
    request: Duration::from_millis(600),
    idle: Duration::from_secs(20),
    age: Duration::from_secs(60),
    finish: Duration::from_secs(2),
};

/// Longer than any limit.
const LONG: Duration = Duration::from_secs(10);

/// A server that runs.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: Shutdown,
    pub(crate) task: JoinHandle<()>,
    authority: String,
}

/// A connection to it.
pub(crate) type Connection = TlsStream<TcpStream>;

impl Server {
    pub(crate) async fn start(limits: Limits, drain: Duration) -> Result<Self> {
        let now = clock::offset_now();
        let validity = Validity::starting(now, Time::days(1));
        let authority = Authority::generate("test", validity)?;
        let leaf = authority.issue(&LeafRequest {
            common_name: "test".to_owned(),
            organizations: Vec::new(),
            names: vec!["127.0.0.1".to_owned()],
            usage: Usage::Server,
            validity,
        })?;
        let slot = Arc::new(Slot::default());
        slot.set(&leaf.cert_pem, &leaf.key_pem)?;
        let metrics = Arc::new(Metrics::register(&mut Registry::default()));
        let facts = Facts { namespace: "own".to_owned(), ..Facts::default() };
        let desk = Desk {
            facts: Arc::new(ArcSwapOption::from_pointee(facts)),
            settings: Settings {
                balancer: Balancer::Inlets,
                alternative: Alternative::None,
                shadow: false,
            },
            metrics: Arc::clone(&metrics),
            limit: limits.request,
        };
        let counter = Counter {
            tls: TlsAcceptor::from(Arc::new(tls::config(slot)?)),
            router: router(desk),
            metrics: Arc::clone(&metrics),
            limits,
        };
        let bound = serve::bind("127.0.0.1:0".parse()?).await?;
        let (address, shutdown) = (bound.address(), Shutdown::manual());
        let ending = shutdown.clone();
        let task = tokio::spawn(async move {
            match bound.serve(counter, drain, ending).await {
                Ok(()) => {}
                Err(never) => match never {},
            }
        });
        Ok(Self { address, metrics, shutdown, task, authority: authority.cert_pem().to_owned() })
    }

    /// A connection that offers these protocols inside TLS.
    pub(crate) async fn connect(&self, protocols: &[&[u8]]) -> Result<Connection> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes())?)?;
        let mut config = ClientConfig::builder_with_provider(crypto::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("127.0.0.1")?;
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        tokio::time::timeout(LONG, connecting).await?.context("handshake")
    }

    /// Sends bytes and returns all that comes back until the server closes the connection.
    pub(crate) async fn tell(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut connection = self.connect(&[b"http/1.1"]).await?;
        // The server may have had enough before everything is sent.
        drop(connection.write_all(bytes).await);
        rest(&mut connection).await
    }

    /// The answer to a request of this method, path, content type and body.
    pub(crate) async fn ask(
        &self,
        start: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<(u16, String)> {
        let head = head(start, content_type, body.len());
        crate::http::parse(&self.tell(&[head.as_bytes(), body].concat()).await?)
    }
}

/// A request's header that asks for its connection to be closed.
pub(crate) fn head(start: &str, content_type: &str, length: usize) -> String {
    format!(
        "{start} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

/// All that comes until the connection is closed, however that is done.
pub(crate) async fn rest(connection: &mut Connection) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let reading = connection.read_to_end(&mut all);
    match tokio::time::timeout(LONG, reading).await.context("the server does not close")? {
        Ok(_) | Err(_) => Ok(all),
    }
}

/// A review of a claim that nothing is to be done about.
pub(crate) fn review(kind: &str) -> Vec<u8> {
    serde_json::json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": kind},
            "namespace": "shop",
            "operation": "CREATE",
            "object": {
                "apiVersion": "v1",
                "kind": kind,
                "metadata": {"name": "data", "namespace": "shop"},
                "spec": {"storageClassName": ""},
            },
        },
    })
    .to_string()
    .into_bytes()
}
