//! The content of the Secret: an authority, those to trust, and the leaf that is served. Reading
//! and making only; where it is kept is `secret.rs`'s business.

use fastrak_api::names;
use fastrak_certs::{Authority, Bundle, CertError, KeyPairPem, Leaf, LeafRequest, Usage, Validity};
use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime};

/// An authority outlasts a cluster that is switched off for months.
const AUTHORITY_LASTS: Duration = Duration::days(365);
/// A leaf need not: it is made again without anybody noticing.
const LEAF_LASTS: Duration = Duration::days(30);

const COMMON_NAME: &str = names::WEBHOOK;

const AUTHORITY: &str = "the authority";

/// All that the Secret holds.
#[derive(Debug)]
pub struct Material {
    /// The authority that signs.
    pub authority: Authority,
    /// Those to trust: the one that signs first.
    pub bundle: Bundle,
    /// What is served, or why it cannot be read.
    pub served: Result<ServedLeaf, MaterialError>,
}

/// A leaf with its key.
#[derive(Debug)]
pub struct ServedLeaf {
    /// The texts.
    pub pem: KeyPairPem,
    /// What the certificate says.
    pub leaf: Leaf,
}

/// Why the content of the Secret cannot be used, or none could be made.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
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
}

impl Material {
    /// A new authority, and a leaf of it for these names.
    pub fn create(now: OffsetDateTime, names: &[String]) -> Result<Self, MaterialError> {
        let validity = Validity::starting(now, AUTHORITY_LASTS);
        let authority = Authority::generate(COMMON_NAME, validity).map_err(wrong(AUTHORITY))?;
        Self::with(authority, Bundle::new(), now, names)
    }

    /// The same authority with a new leaf.
    pub fn with_new_leaf(
        self,
        now: OffsetDateTime,
        names: &[String],
    ) -> Result<Self, MaterialError> {
        Self::with(self.authority, self.bundle, now, names)
    }

    /// A new authority and a leaf of it; the old one stays trusted as long as it lasts, since
    /// other replicas still serve its leaves.
    pub fn renewed(&self, now: OffsetDateTime, names: &[String]) -> Result<Self, MaterialError> {
        let mut new = Self::create(now, names)?;
        for trusted in self.bundle.iter() {
            new.bundle.add(&trusted).map_err(wrong(names::SECRET_CA_CERT))?;
        }
        new.bundle.prune_expired(now);
        Ok(new)
    }

    /// Reads what is stored. A leaf that cannot be used makes the rest no worse.
    pub fn read(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, MaterialError> {
        let text = |key: &'static str| {
            let bytes = data.get(key).ok_or(MaterialError::Missing(key))?;
            std::str::from_utf8(bytes).map_err(|_| MaterialError::Missing(key))
        };
        let trusted = text(names::SECRET_CA_CERT)?;
        let authority =
            Authority::load(trusted, text(names::SECRET_CA_KEY)?).map_err(wrong(AUTHORITY))?;
        let bundle = Bundle::parse(trusted).map_err(wrong(names::SECRET_CA_CERT))?;
        let served = text(names::SECRET_LEAF_CERT).and_then(|cert_pem| {
            let (cert_pem, key_pem) =
                (cert_pem.to_owned(), text(names::SECRET_LEAF_KEY)?.to_owned());
            ServedLeaf::read(KeyPairPem { cert_pem, key_pem })
        });
        Ok(Self { authority, bundle, served })
    }

    /// The content as it is stored.
    pub fn data(&self) -> Result<BTreeMap<&'static str, String>, MaterialError> {
        let served = self.served.as_ref();
        let served = served.map_err(|_| MaterialError::Missing(names::SECRET_LEAF_CERT))?;
        Ok([
            (names::SECRET_CA_CERT, self.bundle.to_pem()),
            (names::SECRET_CA_KEY, self.authority.key_pem().to_owned()),
            (names::SECRET_LEAF_CERT, served.pem.cert_pem.clone()),
            (names::SECRET_LEAF_KEY, served.pem.key_pem.clone()),
        ]
        .into())
    }

    fn with(
        authority: Authority,
        mut bundle: Bundle,
        now: OffsetDateTime,
        names: &[String],
    ) -> Result<Self, MaterialError> {
        bundle.add(authority.cert_pem()).map_err(wrong(AUTHORITY))?;
        let request = LeafRequest {
            common_name: COMMON_NAME.to_owned(),
            organizations: Vec::new(),
            names: names.to_vec(),
            usage: Usage::Server,
            validity: Validity::starting(now, LEAF_LASTS),
        };
        let served = ServedLeaf::read(authority.issue(&request).map_err(wrong("leaf"))?)?;
        Ok(Self { authority, bundle, served: Ok(served) })
    }
}

impl ServedLeaf {
    fn read(pem: KeyPairPem) -> Result<Self, MaterialError> {
        let leaf = Leaf::load(&pem.cert_pem, &pem.key_pem);
        let leaf = leaf.map_err(wrong(names::SECRET_LEAF_CERT))?;
        Ok(Self { pem, leaf })
    }
}

fn wrong(what: &'static str) -> impl Fn(CertError) -> MaterialError {
    move |source| MaterialError::Certificate { what, source }
}
