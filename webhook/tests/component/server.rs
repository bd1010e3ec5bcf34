//! The webhook's server alone, with short limits and its own certificate, and a client that can
//! send any bytes. No API server is needed.

use anyhow::{Context as _, Result};
use arc_swap::ArcSwapOption;
use fastrak_admission::mutate::DECLARED;
use fastrak_admission::mutate::service::Settings;
use fastrak_admission::patch::Field;
use fastrak_admission::snapshot::Snapshot;
use fastrak_api::balancer::Mode;
use fastrak_certs::{CertificateAuthority, KeyPairPem, LeafRequest, Usage, Validity};
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::tls::Slot;
use fastrak_runtime::{clock, crypto};
use fastrak_testkit::admission::verify;
use fastrak_webhook::metrics::Metrics;
use fastrak_webhook::serve::client_ca::{ClientAuthArgs, ClientCa};
use fastrak_webhook::serve::clients::ClientAuth;
use fastrak_webhook::serve::http::{RequestLimits, ReviewHandler};
use fastrak_webhook::serve::tls::Security;
use fastrak_webhook::serve::{self, ConnectionContext, Limits};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use time::Duration as Time;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Limits short enough for a test.
pub(crate) const LIMITS: Limits = Limits {
    connections: 32,
    handshakes: 32,
    handshake: Duration::from_secs(2),
    header: Duration::from_secs(2),
    idle: Duration::from_secs(20),
    age: Duration::from_secs(60),
    finish: Duration::from_secs(2),
};

/// The timeout of a request.
pub(crate) const REQUEST: Duration = Duration::from_secs(3);

/// A timeout longer than any limit.
const LONG: Duration = Duration::from_secs(10);

/// The settings of a server.
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) drain: Duration,
    /// The number of concurrent reviews.
    pub(crate) in_flight: usize,
    /// The handling of client certificates.
    pub(crate) clients: ClientAuthArgs,
    /// The CA of its certificate.
    pub(crate) ca: CertificateAuthority,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
    pub(crate) task: JoinHandle<()>,
    ca: String,
    registry: Registry,
}

/// A connection to the server.
pub(crate) type Connection = TlsStream<TcpStream>;

impl Setup {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            limits: LIMITS,
            drain: Duration::ZERO,
            in_flight: 8,
            clients: ClientAuthArgs {
                client_auth: ClientAuth::Off,
                client_ca: None,
                client_names: Vec::new(),
            },
            ca: ca("test")?,
        })
    }
}

/// Creates a CA with this name.
pub(crate) fn ca(name: &str) -> Result<CertificateAuthority> {
    Ok(CertificateAuthority::generate(
        name,
        Validity::starting(clock::offset_now(), Time::days(1)),
    )?)
}

/// Issues a certificate of a CA.
pub(crate) fn leaf(ca: &CertificateAuthority, name: &str, usage: Usage) -> Result<KeyPairPem> {
    Ok(ca.issue(&LeafRequest {
        common_name: name.to_owned(),
        organization: None,
        names: vec!["127.0.0.1".to_owned()],
        usage,
        validity: Validity::starting(clock::offset_now(), Time::days(1)),
    })?)
}

impl Server {
    pub(crate) async fn start(limits: Limits, drain: Duration) -> Result<Self> {
        Self::of(&Setup { limits, drain, ..Setup::new()? }).await
    }

    pub(crate) async fn of(setup: &Setup) -> Result<Self> {
        let leaf = leaf(&setup.ca, "test", Usage::Server)?;
        let slot = Arc::new(Slot::default());
        slot.set(&leaf.cert_pem, &leaf.key_pem)?;
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let snapshot = Snapshot { namespace: "own".to_owned(), ..Snapshot::default() };
        let snapshot = Arc::new(ArcSwapOption::from_pointee(snapshot));
        let settings = Settings {
            balancer: Mode::Inlets,
            alternative: Mode::None,
            addresses: false,
            dry_run: false,
        };
        let limits = RequestLimits { request: REQUEST, in_flight: setup.in_flight };
        let shutdown = Shutdown::manual();
        let poll = Duration::from_millis(20);
        let clients = ClientCa::load(&setup.clients, poll, &metrics.serving).await?;
        let security = Security::new(slot, clients.as_ref().map(ClientCa::clients))?;
        if let Some(clients) = clients {
            tokio::spawn(clients.run(shutdown.clone()));
        }
        let context = ConnectionContext {
            security,
            handler: Arc::new(ReviewHandler::new(
                snapshot,
                settings,
                metrics.serving.clone(),
                limits,
            )),
            metrics: metrics.serving.clone(),
            limits: setup.limits,
        };
        let bound = serve::bind("127.0.0.1:0".parse()?).await?;
        let (address, drain, ending) = (bound.address(), setup.drain, shutdown.clone());
        let task = tokio::spawn(async move {
            match bound.serve(context, drain, ending).await {
                Ok(()) => {}
                Err(never) => match never {},
            }
        });
        let ca = setup.ca.cert_pem().to_owned();
        Ok(Self { address, metrics, shutdown, task, ca, registry })
    }

    /// Returns the metrics as text.
    pub(crate) fn shown_metrics(&self) -> Result<String> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Returns the configuration of a client that trusts the server and has no certificate.
    pub(crate) fn client(&self) -> Result<ClientConfig> {
        Ok(trusting(&self.ca)?.with_no_client_auth())
    }

    /// Returns the configuration of a client that trusts the server and presents this certificate.
    pub(crate) fn client_with(&self, pair: &KeyPairPem) -> Result<ClientConfig> {
        let chain = vec![CertificateDer::from_pem_slice(pair.cert_pem.as_bytes())?];
        let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes())?;
        Ok(trusting(&self.ca)?.with_client_auth_cert(chain, key)?)
    }

    /// Opens a connection that offers these ALPN protocols.
    pub(crate) async fn connect(&self, protocols: &[&[u8]]) -> Result<Connection> {
        let mut config = self.client()?;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        connect(self.address, config).await
    }

    /// Sends bytes and returns the response until the server closes the connection.
    pub(crate) async fn exchange(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut connection = self.connect(&[b"http/1.1"]).await?;
        // The server may close before everything is sent.
        drop(connection.write_all(bytes).await);
        rest(&mut connection).await
    }

    /// Sends a request with this method, path, content type and body. Returns the response.
    pub(crate) async fn ask(
        &self,
        start: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<(u16, String)> {
        let head = head(start, content_type, body.len());
        let answer = crate::http::parse(&self.exchange(&[head.as_bytes(), body].concat()).await?)?;
        if answer.0 == 200 {
            is_sound(body, answer.1.as_bytes())?;
        }
        Ok(answer)
    }
}

/// Fails if the API server would not accept an answer to a review.
pub(crate) fn is_sound(review: &[u8], answer: &[u8]) -> Result<()> {
    let declared: Vec<_> = DECLARED.into_iter().map(Field::pointer).collect();
    verify(review, answer, &declared).map(drop).context("an invalid answer")
}

/// Returns the configuration of a client that trusts this CA.
pub(crate) fn trusting(ca: &str) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
    Ok(ClientConfig::builder_with_provider(crypto::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots))
}

/// Opens a connection to an address with this configuration.
pub(crate) async fn connect(
    address: SocketAddr,
    config: impl Into<Arc<ClientConfig>>,
) -> Result<Connection> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1")?;
    let connecting = TlsConnector::from(config.into()).connect(name, stream);
    tokio::time::timeout(LONG, connecting).await?.context("handshake")
}

/// Returns a request that keeps its connection open.
pub(crate) fn request(start: &str) -> Vec<u8> {
    let body = review("PersistentVolumeClaim");
    let head = head(start, "application/json", body.len());
    [head.replace("Connection: close\r\n", "").as_bytes(), &body].concat()
}

/// Returns the header of a request that asks to close its connection.
pub(crate) fn head(start: &str, content_type: &str, length: usize) -> String {
    format!(
        "{start} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

/// Reads until the connection is closed, in order or not.
pub(crate) async fn rest(connection: &mut Connection) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let reading = connection.read_to_end(&mut all);
    match tokio::time::timeout(LONG, reading).await.context("the server does not close")? {
        Ok(_) | Err(_) => Ok(all),
    }
}

/// Returns a review of a claim that stays unchanged.
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
