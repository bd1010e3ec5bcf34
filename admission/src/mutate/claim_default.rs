//! The class of a claim: the one that it names, else the default of its namespace or of the
//! cluster. A claim whose class another component chooses is not changed.
//!
//! The API server's own plugin runs before any webhook and gives a claim the class that is marked
//! as the default. A claim that reaches the webhook without a class therefore comes from a cluster
//! without a marked class; there `local-storage` is the default.
//!
//! A namespace's default comes before both. The owners of fields distinguish a class that the
//! plugin filled in from a chosen one: they are recorded before the plugin runs, so a filled-in
//! class has none. Without that record, or if the class is not a default, it counts as chosen.

use super::{ClaimRequest, Operation};
use crate::snapshot::Snapshot;
use crate::verdict::{Reason, clipped};
use fastrak_api::claim::ClassChoice;
use fastrak_api::class::Class;
use fastrak_api::names;

/// The maximum length of a user's text in a remark.
const QUOTED: usize = 24;

/// The class of a claim.
#[derive(Clone, Copy, Debug)]
pub enum ClassOf<'a> {
    /// The claim names a class of fastrak's.
    Named(&'a Class),
    /// The claim gets this default, which may be another provisioner's.
    Default(&'a Class, Reason),
    /// The claim's class is out of scope.
    OutOfScope(Reason),
}

/// Returns the class of the claim.
#[must_use]
pub fn class_of<'a>(request: &ClaimRequest<'_>, snapshot: &'a Snapshot) -> ClassOf<'a> {
    if let Some(class) = of_namespace(request, snapshot).and_then(|name| snapshot.class(name)) {
        return ClassOf::Default(class, Reason::NamespaceClass);
    }
    let Some(name) = request.claim.class_name() else {
        return default(request.operation, snapshot);
    };
    match snapshot.class(name) {
        None => ClassOf::OutOfScope(Reason::UnknownClass),
        Some(class) if class.is_ours() => ClassOf::Named(class),
        Some(_) => ClassOf::OutOfScope(Reason::ForeignClass),
    }
}

fn default(operation: Operation, snapshot: &Snapshot) -> ClassOf<'_> {
    // The class was marked after the plugin ran. The controller manager gives it to the claim
    // later.
    if snapshot.classes.values().any(|info| info.class.is_default) {
        return ClassOf::OutOfScope(Reason::ClusterDefault);
    }
    // An update by another client must not change the spec. A repair may set it: the API server
    // lets an unset class be set as long as the claim has no volume.
    if operation == Operation::Update {
        return ClassOf::OutOfScope(Reason::NoClass);
    }
    match snapshot.class(names::CLASS_DEFAULT) {
        Some(class) if class.is_ours() => ClassOf::Default(class, Reason::DefaultClass),
        _ => ClassOf::OutOfScope(Reason::NoClass),
    }
}

/// Returns the namespace's default class if it replaces the claim's own.
fn of_namespace<'a>(request: &ClaimRequest<'_>, snapshot: &'a Snapshot) -> Option<&'a str> {
    let wanted = snapshot.of_namespace(&request.claim.namespace)?.default_class.as_deref()?;
    let has = request.claim.class_name();
    (is_open(request, snapshot) && has != Some(wanted)).then_some(wanted)
}

/// Returns whether no user has chosen the claim's class.
fn is_open(request: &ClaimRequest<'_>, snapshot: &Snapshot) -> bool {
    match (&request.claim.class, request.operation) {
        (ClassChoice::Unset, Operation::Create | Operation::Repair) => true,
        // Another webhook's choice has no owner either, but need not be the cluster's default.
        (ClassChoice::Named(name), Operation::Create) => {
            request.claim.class_unowned
                && snapshot.class(name).is_some_and(|class| class.is_default)
        }
        (ClassChoice::Unset | ClassChoice::Named(_), _)
        | (ClassChoice::Empty | ClassChoice::Beta(_), _) => false,
    }
}

/// Returns a remark about its class for the creator of a claim.
#[must_use]
pub fn remark(request: &ClaimRequest<'_>, snapshot: &Snapshot) -> Option<String> {
    if request.operation != Operation::Create {
        return None;
    }
    match of_namespace(request, snapshot) {
        Some(name) if snapshot.class(name).is_some() => None,
        Some(name) => Some(format!(
            "{} of the namespace is ignored: class {:?} does not exist",
            names::NAMESPACE_CLASS,
            clipped(name, QUOTED)
        )),
        None => several(request, snapshot),
    }
}

/// Returns a remark if several classes are the default and the claim has one of them: nothing shows
/// whether it was chosen.
fn several(request: &ClaimRequest<'_>, snapshot: &Snapshot) -> Option<String> {
    let name = request.claim.class_name()?;
    let defaults = snapshot.defaults();
    let [winner, _, ..] = defaults.as_slice() else { return None };
    defaults.iter().any(|info| info.class.name == name).then(|| {
        let names: Vec<_> = defaults.iter().map(|info| info.class.name.as_str()).collect();
        format!("several default StorageClasses: {}; {} wins", names.join(", "), winner.class.name)
    })
}
