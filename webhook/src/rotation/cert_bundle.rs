//! The content of the Secret: the authority that signs, the one that comes next, those to trust, and
//! the leaf that is served. Reading, making and writing it down only: what is to be made is
//! `plan.rs`'s business, and where it is kept `secret.rs`'s.

use super::plan::Change;
use super::state::{AuthorityFact, Held, Id, LeafFact, Lifetimes};
use fastrak_api::names;
use fastrak_certs::{
    Bundle, CertError, Certificate, CertificateAuthority, KeyPairPem, Leaf, LeafRequest, Usage,
    Validity,
};
use std::collections::BTreeMap;
use time::OffsetDateTime;

const COMMON_NAME: &str = names::WEBHOOK;

const AUTHORITY: &str = "the authority";
const TRUE: &str = "true";

/// All that the Secret holds.
#[derive(Debug)]
pub struct CertBundle {
    /// The authority that signs.
    pub authority: CertificateAuthority,
    /// The one that is to sign next.
    pub next: Option<CertificateAuthority>,
    /// Those that signed before and are still trusted.
    pub old: Bundle,
    /// What is served, or why it cannot be read.
    pub served: Result<ServedLeaf, CertBundleError>,
    /// When those that signed before are trusted no longer.
    pub retire_at: Option<OffsetDateTime>,
    /// Whether all of it was created again and not published since.
    pub inherits: bool,
}

/// A leaf with its key.
#[derive(Debug)]
pub struct ServedLeaf {
    /// The texts.
    pub pem: KeyPairPem,
    /// What the certificate says.
    pub leaf: Leaf,
}

/// What certificates are made from.
#[derive(Clone, Debug)]
pub struct CertSpec {
    /// The names by which the API server reaches us.
    pub names: Vec<String>,
    /// How long they last.
    pub lifetimes: Lifetimes,
}

/// A recipe at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Making<'a> {
    recipe: &'a CertSpec,
    now: OffsetDateTime,
}

impl CertSpec {
    /// What is made from it at this moment.
    #[must_use]
    pub fn at(&self, now: OffsetDateTime) -> Making<'_> {
        Making { recipe: self, now }
    }
}

/// Why the content of the Secret cannot be used, or none could be made.
#[derive(Debug, thiserror::Error)]
pub enum CertBundleError {
    /// A key of the Secret is missing or no text.
    #[error("{0} is missing or is not a text")]
    Missing(&'static str),
    /// A certificate cannot be used or made.
    #[error("{what} cannot be used")]
    Certificate {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: CertError,
    },
    /// There is nothing that could be changed so. The plan has seen to that, so it is a defect.
    #[error("the certificates cannot be changed so")]
    Impossible,
}

impl CertBundle {
    /// A new authority and a leaf of it; nothing else is trusted.
    pub fn create(making: &Making<'_>) -> Result<Self, CertBundleError> {
        let authority = making.authority()?;
        let served = making.leaf(&authority)?;
        let (served, old) = (Ok(served), Bundle::new());
        Ok(Self { authority, next: None, old, served, retire_at: None, inherits: true })
    }

    /// What is stored, with a change that was planned. `found` is what was published.
    pub fn changed(
        stored: Option<Self>,
        change: &Change,
        found: &Bundle,
        making: &Making<'_>,
    ) -> Result<Self, CertBundleError> {
        if let Change::Remake { keep, .. } = change {
            let mut new = Self::create(making)?;
            new.adopt(keep, found, making)?;
            return Ok(new);
        }
        let mut this = stored.ok_or(CertBundleError::Impossible)?;
        match change {
            Change::Remake { .. } => return Err(CertBundleError::Impossible),
            Change::Adopt(ids) => this.adopt(ids, found, making)?,
            Change::Confirm => this.inherits = false,
            Change::IssueLeaf(_) => this.served = Ok(making.leaf(&this.authority)?),
            Change::Introduce => this.next = Some(making.authority()?),
            Change::Promote => this.promote(making)?,
            Change::Retire(ids) => this.retire(ids)?,
        }
        Ok(this)
    }

    /// Reads what is stored. A leaf or a next authority that cannot be used makes the rest no worse.
    pub fn read(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, CertBundleError> {
        let text = |key: &'static str| {
            let bytes = data.get(key).ok_or(CertBundleError::Missing(key))?;
            std::str::from_utf8(bytes).map_err(|_| CertBundleError::Missing(key))
        };
        let trusted = text(names::SECRET_CA_CERT)?;
        let authority = CertificateAuthority::load(trusted, text(names::SECRET_CA_KEY)?)
            .map_err(wrong(AUTHORITY))?;
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
        let new = [Some(&authority), next.as_ref()];
        let is_new = |pem: &String| new.iter().flatten().any(|one| one.cert_pem() == pem);
        let old: String = bundle.iter().filter(|pem| !is_new(pem)).collect();
        let old = Bundle::parse(&old).map_err(wrong(names::SECRET_CA_CERT))?;
        let retire_at = text(names::SECRET_RETIRE_AT).ok().and_then(|at| at.parse().ok());
        let retire_at = retire_at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
        let inherits = text(names::SECRET_INHERITS).is_ok_and(|text| text == TRUE);
        Ok(Self { authority, next, old, served, retire_at, inherits })
    }

    /// The content as it is stored: what has no value has no key.
    #[must_use]
    pub fn data(&self) -> BTreeMap<&'static str, Option<String>> {
        let (served, next) = (self.served.as_ref().ok(), self.next.as_ref());
        let retire_at = self.retire_at.map(|at| at.unix_timestamp().to_string());
        [
            (names::SECRET_CA_CERT, Some(self.bundle())),
            (names::SECRET_CA_KEY, Some(self.authority.key_pem().to_owned())),
            (names::SECRET_LEAF_CERT, served.map(|served| served.pem.cert_pem.clone())),
            (names::SECRET_LEAF_KEY, served.map(|served| served.pem.key_pem.clone())),
            (names::SECRET_NEXT_CERT, next.map(|next| next.cert_pem().to_owned())),
            (names::SECRET_NEXT_KEY, next.map(|next| next.key_pem().to_owned())),
            (names::SECRET_RETIRE_AT, retire_at),
            (names::SECRET_INHERITS, self.inherits.then(|| TRUE.to_owned())),
        ]
        .into()
    }

    /// Those to trust: the one that signs, the one that comes next, those that signed before.
    #[must_use]
    pub fn bundle(&self) -> String {
        let next = self.next.as_ref().map(CertificateAuthority::cert_pem).unwrap_or_default();
        [self.authority.cert_pem(), next, &self.old.to_pem()].concat()
    }

    /// What a plan needs to know of it.
    #[must_use]
    pub fn summary(&self, names: &[String]) -> Held {
        Held {
            current: fact(&self.authority),
            next: self.next.as_ref().map(fact),
            old: authorities(&self.old),
            leaf: self.leaf_fact(names),
            retire_at: self.retire_at,
            inherits: self.inherits,
        }
    }

    fn leaf_fact(&self, names: &[String]) -> Result<LeafFact, &'static str> {
        let Ok(ServedLeaf { pem, leaf }) = &self.served else {
            return Err("the leaf cannot be read");
        };
        if !leaf.is_signed_by(self.authority.cert_pem()) {
            return Err("the leaf is another authority's");
        }
        if !leaf.covers(names) {
            return Err("the leaf lacks a name");
        }
        let (id, issuer) = (Id::of(&pem.cert_pem), Id::of(self.authority.cert_pem()));
        Ok(LeafFact { id, issuer, validity: leaf.validity() })
    }

    fn adopt(
        &mut self,
        ids: &[Id],
        found: &Bundle,
        Making { recipe, now }: &Making<'_>,
    ) -> Result<(), CertBundleError> {
        for pem in found.iter().filter(|pem| ids.contains(&Id::of(pem))) {
            self.old.add(&pem).map_err(wrong(names::SECRET_CA_CERT))?;
        }
        if !self.old.is_empty() {
            self.retire_at = self.retire_at.max(Some(recipe.lifetimes.retire_adopted(*now)));
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

    fn promote(&mut self, making: &Making<'_>) -> Result<(), CertBundleError> {
        let recipe = making.recipe;
        let at = recipe.lifetimes.retire_promoted(&self.summary(&recipe.names));
        self.retire_at = self.retire_at.max(Some(at));
        let next = self.next.take().ok_or(CertBundleError::Impossible)?;
        let mut old = Bundle::new();
        old.add(self.authority.cert_pem()).map_err(wrong(AUTHORITY))?;
        for pem in self.old.iter() {
            old.add(&pem).map_err(wrong(names::SECRET_CA_CERT))?;
        }
        (self.authority, self.old) = (next, old);
        self.served = Ok(making.leaf(&self.authority)?);
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

/// What a plan needs to know of the authorities in a bundle.
#[must_use]
pub fn authorities(bundle: &Bundle) -> Vec<AuthorityFact> {
    let read = |pem: String| {
        let validity = Certificate::read(&pem).ok()?.validity;
        Some(AuthorityFact { id: Id::of(&pem), validity })
    };
    bundle.iter().filter_map(read).collect()
}

fn fact(authority: &CertificateAuthority) -> AuthorityFact {
    AuthorityFact { id: Id::of(authority.cert_pem()), validity: authority.validity() }
}

impl Making<'_> {
    fn authority(&self) -> Result<CertificateAuthority, CertBundleError> {
        let validity = Validity::starting(self.now, self.recipe.lifetimes.authority);
        CertificateAuthority::generate(COMMON_NAME, validity).map_err(wrong(AUTHORITY))
    }

    fn leaf(&self, authority: &CertificateAuthority) -> Result<ServedLeaf, CertBundleError> {
        let request = LeafRequest {
            common_name: COMMON_NAME.to_owned(),
            organization: None,
            names: self.recipe.names.clone(),
            usage: Usage::Server,
            validity: Validity::starting(self.now, self.recipe.lifetimes.leaf),
        };
        ServedLeaf::read(authority.issue(&request).map_err(wrong("the leaf"))?)
    }
}

fn wrong(what: &'static str) -> impl Fn(CertError) -> CertBundleError {
    move |source| CertBundleError::Certificate { what, source }
}

#[cfg(test)]
mod tests;
