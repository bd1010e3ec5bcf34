//! The content of the Secret: the current CA, the next one, the trusted ones, and the leaf. It is
//! parsed, changed and serialised here. `plan.rs` decides about changes, and `secret.rs` stores it.

use super::plan::Change;
use super::state::{CaInfo, Id, LeafInfo, Lifetimes, StoredCerts};
use fastrak_api::names;
use fastrak_certs::{
    Bundle, CertError, Certificate, CertificateAuthority, KeyPairPem, Leaf, LeafRequest, Usage,
    Validity,
};
use std::collections::BTreeMap;
use time::OffsetDateTime;

const COMMON_NAME: &str = names::WEBHOOK;

const CA: &str = "the CA";
const TRUE: &str = "true";

/// The content of the Secret.
#[derive(Debug)]
pub struct CertBundle {
    /// The CA that issues certificates.
    pub ca: CertificateAuthority,
    /// The CA that replaces it.
    pub next: Option<CertificateAuthority>,
    /// The previous CAs, which are still trusted.
    pub old: Bundle,
    /// The leaf to serve, or why it is invalid.
    pub served: Result<ServedLeaf, CertBundleError>,
    /// When the previous CAs are removed.
    pub retire_at: Option<OffsetDateTime>,
    /// Whether the Secret was recreated and its CA is not published yet.
    pub inherits: bool,
}

/// A leaf certificate with its key.
#[derive(Debug)]
pub struct ServedLeaf {
    /// The PEM texts.
    pub pem: KeyPairPem,
    /// The parsed certificate.
    pub leaf: Leaf,
}

/// The names and lifetimes of new certificates.
#[derive(Clone, Debug)]
pub struct CertSpec {
    /// The names by which the API server reaches the webhook.
    pub names: Vec<String>,
    /// The lifetimes.
    pub lifetimes: Lifetimes,
}

/// The issuance of certificates at one time.
#[derive(Clone, Copy, Debug)]
pub struct Issuance<'a> {
    spec: &'a CertSpec,
    now: OffsetDateTime,
}

impl CertSpec {
    /// Returns the issuance at `now`.
    #[must_use]
    pub fn at(&self, now: OffsetDateTime) -> Issuance<'_> {
        Issuance { spec: self, now }
    }
}

/// Why the content of the Secret is invalid or could not be created.
#[derive(Debug, thiserror::Error)]
pub enum CertBundleError {
    /// A key of the Secret is missing or is not UTF-8.
    #[error("{0} is missing or is not a text")]
    Missing(&'static str),
    /// A certificate is invalid or could not be created.
    #[error("{0} is not usable")]
    Certificate(&'static str, #[source] CertError),
    /// The change does not apply to the stored content, which is a bug in the plan.
    #[error("internal error: the planned change does not apply to the stored certificates")]
    Impossible,
}

impl CertBundle {
    /// Creates a CA and a leaf. No other CA is trusted.
    pub fn create(issuance: &Issuance<'_>) -> Result<Self, CertBundleError> {
        let ca = issuance.ca()?;
        let served = issuance.leaf(&ca)?;
        let (served, old) = (Ok(served), Bundle::new());
        Ok(Self { ca, next: None, old, served, retire_at: None, inherits: true })
    }

    /// Returns the stored content after a planned change. `found` is the published bundle.
    pub fn changed(
        stored: Option<Self>,
        change: &Change,
        found: &Bundle,
        issuance: &Issuance<'_>,
    ) -> Result<Self, CertBundleError> {
        if let Change::Recreate { keep, .. } = change {
            let mut new = Self::create(issuance)?;
            new.adopt(keep, found, issuance)?;
            return Ok(new);
        }
        let mut this = stored.ok_or(CertBundleError::Impossible)?;
        match change {
            Change::Recreate { .. } => return Err(CertBundleError::Impossible),
            Change::Adopt(ids) => this.adopt(ids, found, issuance)?,
            Change::Confirm => this.inherits = false,
            Change::IssueLeaf(_) => this.served = Ok(issuance.leaf(&this.ca)?),
            Change::Introduce => this.next = Some(issuance.ca()?),
            Change::Promote => this.promote(issuance)?,
            Change::Retire(ids) => this.retire(ids)?,
        }
        Ok(this)
    }

    /// Parses the data of the Secret. An invalid leaf or next CA does not invalidate the rest.
    pub fn read(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, CertBundleError> {
        let text = |key: &'static str| {
            let bytes = data.get(key).ok_or(CertBundleError::Missing(key))?;
            std::str::from_utf8(bytes).map_err(|_| CertBundleError::Missing(key))
        };
        let trusted = text(names::SECRET_CA_CERT)?;
        let ca =
            CertificateAuthority::load(trusted, text(names::SECRET_CA_KEY)?).map_err(wrong(CA))?;
        let bundle = Bundle::parse(trusted).map_err(wrong(names::SECRET_CA_CERT))?;
        let pair =
            |cert: &'static str, key: &'static str| text(cert).and_then(|c| Ok((c, text(key)?)));
        let next = pair(names::SECRET_NEXT_CERT, names::SECRET_NEXT_KEY).ok();
        let next = next.and_then(|(cert, key)| CertificateAuthority::load(cert, key).ok());
        let served = pair(names::SECRET_LEAF_CERT, names::SECRET_LEAF_KEY);
        let served = served.and_then(|(cert_pem, key_pem)| {
            let pem = KeyPairPem { cert_pem: cert_pem.to_owned(), key_pem: key_pem.to_owned() };
            ServedLeaf::read(pem)
        });
        let new = [Some(&ca), next.as_ref()];
        let is_new = |pem: &String| new.iter().flatten().any(|one| one.cert_pem() == pem);
        let old: String = bundle.iter().filter(|pem| !is_new(pem)).collect();
        let old = Bundle::parse(&old).map_err(wrong(names::SECRET_CA_CERT))?;
        let retire_at = text(names::SECRET_RETIRE_AT).ok().and_then(|at| at.parse().ok());
        let retire_at = retire_at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
        let inherits = text(names::SECRET_INHERITS).is_ok_and(|text| text == TRUE);
        Ok(Self { ca, next, old, served, retire_at, inherits })
    }

    /// Returns the data of the Secret. A key without a value is removed.
    #[must_use]
    pub fn data(&self) -> BTreeMap<&'static str, Option<String>> {
        let (served, next) = (self.served.as_ref().ok(), self.next.as_ref());
        let retire_at = self.retire_at.map(|at| at.unix_timestamp().to_string());
        [
            (names::SECRET_CA_CERT, Some(self.bundle())),
            (names::SECRET_CA_KEY, Some(self.ca.key_pem().to_owned())),
            (names::SECRET_LEAF_CERT, served.map(|served| served.pem.cert_pem.clone())),
            (names::SECRET_LEAF_KEY, served.map(|served| served.pem.key_pem.clone())),
            (names::SECRET_NEXT_CERT, next.map(|next| next.cert_pem().to_owned())),
            (names::SECRET_NEXT_KEY, next.map(|next| next.key_pem().to_owned())),
            (names::SECRET_RETIRE_AT, retire_at),
            (names::SECRET_INHERITS, self.inherits.then(|| TRUE.to_owned())),
        ]
        .into()
    }

    /// Returns the PEM bundle of the trusted CAs: the current, the next, the previous ones.
    #[must_use]
    pub fn bundle(&self) -> String {
        let next = self.next.as_ref().map(CertificateAuthority::cert_pem).unwrap_or_default();
        [self.ca.cert_pem(), next, &self.old.to_pem()].concat()
    }

    /// Returns the input of the plan.
    #[must_use]
    pub fn summary(&self, names: &[String]) -> StoredCerts {
        StoredCerts {
            current: ca_info(&self.ca),
            next: self.next.as_ref().map(ca_info),
            old: cas(&self.old),
            leaf: self.leaf_info(names),
            retire_at: self.retire_at,
            inherits: self.inherits,
        }
    }

    fn leaf_info(&self, names: &[String]) -> Result<LeafInfo, &'static str> {
        let Ok(ServedLeaf { pem, leaf }) = &self.served else {
            return Err("the leaf is malformed");
        };
        if !leaf.is_signed_by(self.ca.cert_pem()) {
            return Err("the leaf was issued by another CA");
        }
        if !leaf.certificate.covers(names) {
            return Err("the leaf lacks a name");
        }
        let (id, issuer) = (Id::of(&pem.cert_pem), Id::of(self.ca.cert_pem()));
        Ok(LeafInfo { id, issuer, validity: leaf.certificate.validity })
    }

    fn adopt(
        &mut self,
        ids: &[Id],
        found: &Bundle,
        Issuance { spec, now }: &Issuance<'_>,
    ) -> Result<(), CertBundleError> {
        for pem in found.iter().filter(|pem| ids.contains(&Id::of(pem))) {
            self.old.add(&pem).map_err(wrong(names::SECRET_CA_CERT))?;
        }
        if !self.old.is_empty() {
            self.retire_at = self.retire_at.max(Some(spec.lifetimes.retire_adopted(*now)));
        }
        Ok(())
    }

    fn retire(&mut self, ids: &[Id]) -> Result<(), CertBundleError> {
        let mut kept = Bundle::new();
        for pem in self.old.iter().filter(|pem| !ids.contains(&Id::of(pem))) {
            kept.add(&pem).map_err(wrong(names::SECRET_CA_CERT))?;
        }
        self.retire_at = self.retire_at.filter(|_| !kept.is_empty());
        self.old = kept;
        Ok(())
    }

    fn promote(&mut self, issuance: &Issuance<'_>) -> Result<(), CertBundleError> {
        let spec = issuance.spec;
        let at = spec.lifetimes.retire_promoted(&self.summary(&spec.names));
        self.retire_at = self.retire_at.max(Some(at));
        let next = self.next.take().ok_or(CertBundleError::Impossible)?;
        let mut old = Bundle::new();
        old.add(self.ca.cert_pem()).map_err(wrong(CA))?;
        for pem in self.old.iter() {
            old.add(&pem).map_err(wrong(names::SECRET_CA_CERT))?;
        }
        (self.ca, self.old) = (next, old);
        self.served = Ok(issuance.leaf(&self.ca)?);
        Ok(())
    }
}

impl ServedLeaf {
    fn read(pem: KeyPairPem) -> Result<Self, CertBundleError> {
        let leaf = Leaf::load(&pem.cert_pem, &pem.key_pem);
        let leaf = leaf.map_err(wrong(names::SECRET_LEAF_CERT))?;
        Ok(Self { pem, leaf })
    }
}

/// Returns the CAs in a bundle.
#[must_use]
pub fn cas(bundle: &Bundle) -> Vec<CaInfo> {
    let read = |pem: String| {
        let validity = Certificate::read(&pem).ok()?.validity;
        Some(CaInfo { id: Id::of(&pem), validity })
    };
    bundle.iter().filter_map(read).collect()
}

fn ca_info(ca: &CertificateAuthority) -> CaInfo {
    CaInfo { id: Id::of(ca.cert_pem()), validity: ca.validity() }
}

impl Issuance<'_> {
    fn ca(&self) -> Result<CertificateAuthority, CertBundleError> {
        let validity = Validity::starting(self.now, self.spec.lifetimes.ca);
        CertificateAuthority::generate(COMMON_NAME, validity).map_err(wrong(CA))
    }

    fn leaf(&self, ca: &CertificateAuthority) -> Result<ServedLeaf, CertBundleError> {
        let request = LeafRequest {
            common_name: COMMON_NAME.to_owned(),
            organization: None,
            names: self.spec.names.clone(),
            usage: Usage::Server,
            validity: Validity::starting(self.now, self.spec.lifetimes.leaf),
        };
        ServedLeaf::read(ca.issue(&request).map_err(wrong("the leaf"))?)
    }
}

fn wrong(what: &'static str) -> impl Fn(CertError) -> CertBundleError {
    move |source| CertBundleError::Certificate(what, source)
}

#[cfg(test)]
mod tests;
