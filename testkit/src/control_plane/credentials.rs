//! The keys, certificates and kubeconfigs of a control plane. Each control plane has its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fastrak_certs::{
    CertificateAuthority, KeyPairPem, LeafRequest, Usage, Validity, signing_key_pem,
};
use fastrak_runtime::clock;
use serde_json::json;
use time::Duration;

use super::options::Place;

/// The lifetime of certificates, which exceeds that of any test bed.
const LIFETIME: Duration = Duration::days(30);

/// The group of administrators.
const MASTERS: &str = "system:masters";

/// The first address of the Service range, which the `kubernetes` Service has.
pub(crate) const KUBERNETES_SERVICE: &str = "10.96.0.1";

/// The URL and the CA of the API server.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) ca_pem: String,
}

/// The credentials of a client.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    Certificate(KeyPairPem),
    Token(String),
}

/// The CA of a control plane and the directory of the certificates that it issued.
#[derive(Debug)]
pub(crate) struct Credentials {
    ca: CertificateAuthority,
    validity: Validity,
    directory: PathBuf,
}

impl Credentials {
    /// Creates a CA and everything that does not depend on a port.
    pub(crate) fn create(directory: &Path, place: &Place) -> Result<Self> {
        let validity = Validity::starting(clock::offset_now(), LIFETIME);
        let ca = CertificateAuthority::generate("fastrak-testbed", validity)?;
        let this = Self { ca, validity, directory: directory.to_owned() };
        this.write("ca.crt", this.ca.cert_pem())?;
        let (private, public) = signing_key_pem()?;
        this.write("service-accounts.key", &private)?;
        this.write("service-accounts.pub", &public)?;
        let server = this.server("kube-apiserver", &api_server_names(place))?;
        this.write_pair("kube-apiserver", &server)?;
        this.write_pair("kubelet-client", &this.client("kube-apiserver-kubelet", MASTERS)?)?;
        Ok(this)
    }

    /// Returns the path of a file.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns the CA certificate.
    pub(crate) fn ca_pem(&self) -> &str {
        self.ca.cert_pem()
    }

    /// Issues a server certificate for these names and addresses.
    pub(crate) fn server(&self, common_name: &str, names: &[String]) -> Result<KeyPairPem> {
        self.issue(common_name, None, names, Usage::Server)
    }

    /// Issues a client certificate for this user and group.
    pub(crate) fn client(&self, user: &str, group: &str) -> Result<KeyPairPem> {
        self.issue(user, Some(group), &[], Usage::Client)
    }

    /// Issues a client certificate for the administrator.
    pub(crate) fn administrator(&self) -> Result<KeyPairPem> {
        self.client("admin", MASTERS)
    }

    /// Writes a certificate and its key as `<name>.crt` and `<name>.key`.
    pub(crate) fn write_pair(&self, name: &str, pair: &KeyPairPem) -> Result<()> {
        self.write(&format!("{name}.crt"), &pair.cert_pem)?;
        self.write(&format!("{name}.key"), &pair.key_pem)
    }

    /// Writes the kubeconfig of a client certificate as `<name>.kubeconfig`.
    pub(crate) fn write_kubeconfig(
        &self,
        name: &str,
        endpoint: &Endpoint,
        pair: KeyPairPem,
    ) -> Result<PathBuf> {
        let file = format!("{name}.kubeconfig");
        self.write(&file, &kubeconfig_text(endpoint, &Proof::Certificate(pair)))?;
        Ok(self.path(&file))
    }

    fn issue(
        &self,
        common_name: &str,
        organization: Option<&str>,
        names: &[String],
        usage: Usage,
    ) -> Result<KeyPairPem> {
        let request = LeafRequest {
            common_name: common_name.to_owned(),
            organization: organization.map(str::to_owned),
            names: names.to_vec(),
            usage,
            validity: self.validity,
        };
        self.ca.issue(&request).with_context(|| format!("issue for {common_name}"))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

/// Returns the kubeconfig of a client, as JSON, which is valid YAML.
pub(crate) fn kubeconfig_text(endpoint: &Endpoint, proof: &Proof) -> String {
    let user = match proof {
        Proof::Certificate(pair) => json!({
            "client-certificate-data": STANDARD.encode(&pair.cert_pem),
            "client-key-data": STANDARD.encode(&pair.key_pem),
        }),
        Proof::Token(token) => json!({ "token": token }),
    };
    let cluster = json!({
        "server": endpoint.url,
        "certificate-authority-data": STANDARD.encode(&endpoint.ca_pem),
    });
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "testbed", "cluster": cluster }],
        "users": [{ "name": "caller", "user": user }],
        "contexts": [{ "name": "testbed", "context": { "cluster": "testbed", "user": "caller" } }],
        "current-context": "testbed",
    })
    .to_string()
}

fn api_server_names(place: &Place) -> Vec<String> {
    let fixed = [
        "localhost",
        "127.0.0.1",
        KUBERNETES_SERVICE,
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let own = [place.address.to_string()];
    let mut names: Vec<String> = fixed.iter().map(|&name| name.to_owned()).collect();
    names.extend(own.into_iter().chain(place.names.iter().cloned()));
    names.sort();
    names.dedup();
    names
}
