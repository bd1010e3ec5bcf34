//! The webhook's server alone, with short limits and a certificate of its own, and a client that can
//! send whatever it likes. No API server is needed to be rude to it.

use anyhow::{Context as _, Result};
use arc_swap::ArcSwapOption;
use fastrak_admission::mutate::DECLARED;
use fastrak_admission::mutate::service::{Alternative, Balancer, Settings};
use fastrak_admission::patch::Field;
use fastrak_admission::snapshot::Snapshot;
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

/// Limits that a test can wait for.
pub(crate) const LIMITS: Limits = Limits {
    connections: 32,
    handshakes: 32,
    handshake: Duration::from_millis(300),
    header: Duration::from_millis(300),
    idle: Duration::from_secs(20),
    age: Duration::from_secs(60),
    finish: Duration::from_secs(2),
};

/// How long a request may take.
pub(crate) const REQUEST: Duration = Duration::from_millis(600);

/// Longer than any limit.
const LONG: Duration = Duration::from_secs(10);

/// What a server is to be like, where it is not like the others.
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) drain: Duration,
    /// How many reviews are decided at a time.
    pub(crate) in_flight: usize,
    /// What is made of clients.
    pub(crate) clients: ClientAuthArgs,
    /// Who signs its certificate.
    pub(crate) authority: CertificateAuthority,
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
    pub(crate) task: JoinHandle<()>,
    authority: String,
    registry: Registry,
}

/// A connection to it.
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
            authority: authority("test")?,
        })
    }
}

/// An authority of this name.
pub(crate) fn authority(name: &str) -> Result<CertificateAuthority> {
    Ok(CertificateAuthority::generate(
        name,
        Validity::starting(clock::offset_now(), Time::days(1)),
    )?)
}

/// A certificate of an authority's.
pub(crate) fn leaf(
    authority: &CertificateAuthority,
    name: &str,
    usage: Usage,
) -> Result<KeyPairPem> {
    Ok(authority.issue(&LeafRequest {
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
        let leaf = leaf(&setup.authority, "test", Usage::Server)?;
        let slot = Arc::new(Slot::default());
        slot.set(&leaf.cert_pem, &leaf.key_pem)?;
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let snapshot = Snapshot { namespace: "own".to_owned(), ..Snapshot::default() };
        let snapshot = Arc::new(ArcSwapOption::from_pointee(snapshot));
        let settings =
            Settings { balancer: Balancer::Inlets, alternative: Alternative::None, dry_run: false };
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
        let authority = setup.authority.cert_pem().to_owned();
        Ok(Self { address, metrics, shutdown, task, authority, registry })
    }

    /// What it has counted, as it is shown.
    pub(crate) fn shown_metrics(&self) -> Result<String> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// How a client goes about it that trusts the server and shows no certificate.
    pub(crate) fn client(&self) -> Result<ClientConfig> {
        Ok(trusting(&self.authority)?.with_no_client_auth())
    }

    /// How a client goes about it that trusts the server and shows this certificate.
    pub(crate) fn client_with(&self, pair: &KeyPairPem) -> Result<ClientConfig> {
        let chain = vec![CertificateDer::from_pem_slice(pair.cert_pem.as_bytes())?];
        let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes())?;
        Ok(trusting(&self.authority)?.with_client_auth_cert(chain, key)?)
    }

    /// A connection that offers these protocols inside TLS.
    pub(crate) async fn connect(&self, protocols: &[&[u8]]) -> Result<Connection> {
        let mut config = self.client()?;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        connect(self.address, config).await
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
        let answer = crate::http::parse(&self.tell(&[head.as_bytes(), body].concat()).await?)?;
        if answer.0 == 200 {
            is_sound(body, answer.1.as_bytes())?;
        }
        Ok(answer)
    }
}

/// Returns whether the API server would take an answer to a review as it is.
pub(crate) fn is_sound(review: &[u8], answer: &[u8]) -> Result<()> {
    let declared: Vec<_> = DECLARED.into_iter().map(Field::pointer).collect();
    verify(review, answer, &declared).map(drop).context("an answer that is none")
}

/// How a client goes about it that trusts this CA.
pub(crate) fn trusting(authority: &str) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    Ok(ClientConfig::builder_with_provider(crypto::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots))
}

/// A connection to an address, of a client that goes about it this way.
pub(crate) async fn connect(
    address: SocketAddr,
    config: impl Into<Arc<ClientConfig>>,
) -> Result<Connection> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1")?;
    let connecting = TlsConnector::from(config.into()).connect(name, stream);
    tokio::time::timeout(LONG, connecting).await?.context("handshake")
}

/// A request that leaves its connection open.
pub(crate) fn request(start: &str) -> Vec<u8> {
    let body = review("PersistentVolumeClaim");
    let head = head(start, "application/json", body.len());
    [head.replace("Connection: close\r\n", "").as_bytes(), &body].concat()
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
