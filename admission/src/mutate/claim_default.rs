//! The class of a claim: the one it names, or the default of its namespace or of the cluster where
//! it names none. It does not touch a claim whose class someone else is to choose.
//!
//! The API server's own plugin runs before any webhook and gives a claim the class that is marked
//! as the default. What reaches the webhook without a class is therefore a claim of a cluster
//! where no class is marked; there `local-storage` is the default.
//!
//! A namespace's default comes before both. A class that the plugin has filled in is distinguished from one
//! that was chosen by the owners of fields, which are recorded before the plugin runs: nobody owns
//! what it wrote. Without that record, or where the class is not the plugin's to give, it counts
//! as chosen.

use super::{ClaimRequest, Operation};
use crate::snapshot::Snapshot;
use crate::verdict::{Reason, clipped};
use fastrak_api::claim::ClassChoice;
use fastrak_api::class::Class;
use fastrak_api::names;

/// How much of a user's text a remark repeats.
const QUOTED: usize = 24;

/// The class of a claim.
#[derive(Clone, Copy, Debug)]
pub enum ClassOf<'a> {
    /// The claim names a class of fastrak's.
    Named(&'a Class),
    /// The claim names none and is to get this one, which may be another provisioner's.
    Default(&'a Class, Reason),
    /// The claim's class is not fastrak's business.
    Neither(Reason),
}

/// The class of the claim.
#[must_use]
pub fn class_of<'a>(ask: &ClaimRequest<'_>, snapshot: &'a Snapshot) -> ClassOf<'a> {
    if let Some(class) = of_namespace(ask, snapshot).and_then(|name| snapshot.class(name)) {
        return ClassOf::Default(class, Reason::NamespaceClass);
    }
    let Some(name) = ask.claim.class_name() else {
        return default(ask.operation, snapshot);
    };
    match snapshot.class(name) {
        None => ClassOf::Neither(Reason::UnknownClass),
        Some(class) if class.is_ours() => ClassOf::Named(class),
        Some(_) => ClassOf::Neither(Reason::ForeignClass),
    }
}

fn default(operation: Operation, snapshot: &Snapshot) -> ClassOf<'_> {
    // A mark that came between the plugin's look and ours: the claim is completed from it later,
    // by the controller manager.
    if snapshot.classes.values().any(|fact| fact.class.is_default) {
        return ClassOf::Neither(Reason::DefaultElsewhere);
    }
    // The spec of a claim may not be changed by whoever happens to update it. A repair may set it:
    // the API server lets an unset class be set as long as the claim has no volume.
    if operation == Operation::Update {
        return ClassOf::Neither(Reason::NoClass);
    }
    match snapshot.class(names::CLASS_DEFAULT) {
        Some(class) if class.is_ours() => ClassOf::Default(class, Reason::DefaultClass),
        _ => ClassOf::Neither(Reason::NoClass),
    }
}

/// The class that the claim's namespace wants it to have in place of what it has.
fn of_namespace<'a>(ask: &ClaimRequest<'_>, snapshot: &'a Snapshot) -> Option<&'a str> {
    let wanted = snapshot.of_namespace(&ask.claim.namespace)?.default_class.as_deref()?;
    let has = ask.claim.class_name();
    (is_open(ask, snapshot) && has != Some(wanted)).then_some(wanted)
}

/// Returns whether nobody has chosen the claim's class.
fn is_open(ask: &ClaimRequest<'_>, snapshot: &Snapshot) -> bool {
    match (&ask.claim.class, ask.operation) {
        (ClassChoice::Unset, Operation::Create | Operation::Repair) => true,
        // Another webhook's choice has no owner either, but need not be the cluster's default.
        (ClassChoice::Named(name), Operation::Create) => {
            ask.claim.class_unowned && snapshot.class(name).is_some_and(|class| class.is_default)
        }
        (ClassChoice::Unset | ClassChoice::Named(_), _)
        | (ClassChoice::Empty | ClassChoice::Beta(_), _) => false,
    }
}

/// A remark for the creator of a claim about its class.
#[must_use]
pub fn remark(ask: &ClaimRequest<'_>, snapshot: &Snapshot) -> Option<String> {
    if ask.operation != Operation::Create {
        return None;
    }
    match of_namespace(ask, snapshot) {
        Some(name) if snapshot.class(name).is_some() => None,
        Some(name) => Some(format!(
            "{} of the namespace is ignored: class {:?} does not exist",
            names::NAMESPACE_CLASS,
            clipped(name, QUOTED)
        )),
        None => several(ask, snapshot),
    }
}

/// Where several classes are the default and the claim's is one of them, nobody can see whether it
/// was chosen.
fn several(ask: &ClaimRequest<'_>, snapshot: &Snapshot) -> Option<String> {
    let name = ask.claim.class_name()?;
    let defaults = snapshot.defaults();
    let [winner, _, ..] = defaults.as_slice() else { return None };
    defaults.iter().any(|fact| fact.class.name == name).then(|| {
        let names: Vec<_> = defaults.iter().map(|fact| fact.class.name.as_str()).collect();
        format!("several default StorageClasses: {}; {} wins", names.join(", "), winner.class.name)
    })
}
