//! The keys, certificates and kubeconfigs of one control plane.
//!
//! Made anew for each and never used anywhere else. It starts nothing and calls no API.

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

/// Longer than any test bed lives.
const LIFETIME: Duration = Duration::days(30);

/// The group whose members may do everything.
const MASTERS: &str = "system:masters";

/// The first address of the Service range, which is the `kubernetes` Service's.
pub(crate) const KUBERNETES_SERVICE: &str = "10.96.0.1";

/// How the API server is reached and trusted.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) authority_pem: String,
}

/// How a caller proves who it is.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    Certificate(KeyPairPem),
    Token(String),
}

/// The authority of a control plane and the folder with what it issued.
#[derive(Debug)]
pub(crate) struct Credentials {
    authority: CertificateAuthority,
    validity: Validity,
    folder: PathBuf,
}

impl Credentials {
    /// Makes an authority and all that does not depend on a port.
    pub(crate) fn create(folder: &Path, place: &Place) -> Result<Self> {
        let validity = Validity::starting(clock::offset_now(), LIFETIME);
        let authority = CertificateAuthority::generate("fastrak-testbed", validity)?;
        let this = Self { authority, validity, folder: folder.to_owned() };
        this.write("ca.crt", this.authority.cert_pem())?;
        let (private, public) = signing_key_pem()?;
        this.write("service-accounts.key", &private)?;
        this.write("service-accounts.pub", &public)?;
        let server = this.server("kube-apiserver", &api_server_names(place))?;
        this.write_pair("kube-apiserver", &server)?;
        this.write_pair("kubelet-client", &this.client("kube-apiserver-kubelet", MASTERS)?)?;
        Ok(this)
    }

    /// The path of one of its files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The certificate of the authority.
    pub(crate) fn authority_pem(&self) -> &str {
        self.authority.cert_pem()
    }

    /// A certificate for a server with these names and addresses.
    pub(crate) fn server(&self, common_name: &str, names: &[String]) -> Result<KeyPairPem> {
        self.issue(common_name, None, names, Usage::Server)
    }

    /// A certificate that says its holder is this user in this group.
    pub(crate) fn client(&self, user: &str, group: &str) -> Result<KeyPairPem> {
        self.issue(user, Some(group), &[], Usage::Client)
    }

    /// A certificate for the administrator.
    pub(crate) fn administrator(&self) -> Result<KeyPairPem> {
        self.client("admin", MASTERS)
    }

    /// Writes a certificate and its key as `<name>.crt` and `<name>.key`.
    pub(crate) fn write_pair(&self, name: &str, pair: &KeyPairPem) -> Result<()> {
        self.write(&format!("{name}.crt"), &pair.cert_pem)?;
        self.write(&format!("{name}.key"), &pair.key_pem)
    }

    /// Writes the kubeconfig of a certificate's holder as `<name>.kubeconfig`.
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
        self.authority.issue(&request).with_context(|| format!("issue for {common_name}"))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

/// The kubeconfig of one caller. JSON, which is YAML too and needs no writer of its own.
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
        "certificate-authority-data": STANDARD.encode(&endpoint.authority_pem),
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
