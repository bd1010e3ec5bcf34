//! What is to be done about the certificates, given what is stored and the time. Pure: nothing is
//! made or written here.

use super::material::{Material, MaterialError, ServedLeaf};
use fastrak_certs::Verdict;
use fastrak_runtime::chain::Chain;
use time::OffsetDateTime;

/// What the Secret holds.
#[derive(Debug)]
pub enum Stored {
    /// There is no Secret.
    Absent,
    /// The Secret holds no authority that can be used.
    Unusable(MaterialError),
    /// The Secret holds an authority.
    Usable(Box<Material>),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the Secret, with a new authority and a leaf.
    Create,
    /// Nothing.
    Keep,
    /// Have the authority issue a new leaf.
    IssueLeaf(&'static str),
    /// Make a new authority and a leaf of it, and trust the old one beside it as long as it lasts.
    Renew,
    /// Make all of it anew: nobody can trust what is there.
    Remake(String),
}

/// The next step. A certificate that has not begun yet is kept: it is our clock that is behind,
/// and it is the API server's that counts.
#[must_use]
pub fn plan(stored: &Stored, now: OffsetDateTime, names: &[String]) -> Step {
    let material = match stored {
        Stored::Absent => return Step::Create,
        Stored::Unusable(error) => return Step::Remake(Chain(error).to_string()),
        Stored::Usable(material) => material,
    };
    match material.authority.validity().verdict(now) {
        Verdict::Expired => Step::Remake("the authority has expired".to_owned()),
        Verdict::Due => Step::Renew,
        Verdict::Fresh | Verdict::NotYet => leaf_step(material, now, names),
    }
}

fn leaf_step(material: &Material, now: OffsetDateTime, names: &[String]) -> Step {
    let Ok(ServedLeaf { leaf, .. }) = &material.served else {
        return Step::IssueLeaf("the leaf cannot be read");
    };
    if !leaf.is_signed_by(material.authority.cert_pem()) {
        return Step::IssueLeaf("the leaf is another authority's");
    }
    if !leaf.covers(names) {
        return Step::IssueLeaf("the leaf lacks a name");
    }
    match leaf.validity().verdict(now) {
        Verdict::Expired => Step::IssueLeaf("the leaf has expired"),
        Verdict::Due => Step::IssueLeaf("two thirds of the leaf's time are over"),
        Verdict::Fresh | Verdict::NotYet => Step::Keep,
    }
}

#[cfg(test)]
mod tests;
