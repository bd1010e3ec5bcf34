//! The class of a claim: the one it names, or the default where it names none. It does not touch
//! a claim whose class someone else is to choose.
//!
//! The API server's own plugin runs before any webhook and gives a claim the class that is marked
//! as the default. What reaches the webhook without a class is therefore a claim of a cluster
//! where no class is marked; there `local-storage` is the default.

use super::{ClaimAsk, Operation};
use crate::facts::Facts;
use crate::verdict::Reason;
use fastrak_api::class::Class;
use fastrak_api::names;

/// The class of a claim.
#[derive(Clone, Copy, Debug)]
pub enum ClassOf<'a> {
    /// The claim names a class of fastrak's.
    Named(&'a Class),
    /// The claim names none and is to get this one.
    Default(&'a Class),
    /// The claim's class is not fastrak's business.
    Neither(Reason),
}

/// The class of the claim.
#[must_use]
pub fn class_of<'a>(ask: &ClaimAsk<'_>, facts: &'a Facts) -> ClassOf<'a> {
    let Some(name) = ask.claim.class_name() else {
        return default(ask.operation, facts);
    };
    match facts.class(name) {
        None => ClassOf::Neither(Reason::UnknownClass),
        Some(class) if class.is_ours() => ClassOf::Named(class),
        Some(_) => ClassOf::Neither(Reason::ForeignClass),
    }
}

fn default(operation: Operation, facts: &Facts) -> ClassOf<'_> {
    // A mark that came between the plugin's look and ours: the claim is completed from it later,
    // by the controller manager.
    if facts.classes.values().any(|fact| fact.class.is_default) {
        return ClassOf::Neither(Reason::DefaultElsewhere);
    }
    // The spec of a claim may not be changed by whoever happens to update it. A repair may set it:
    // the API server lets an unset class be set as long as the claim has no volume.
    if operation == Operation::Update {
        return ClassOf::Neither(Reason::NoClass);
    }
    match facts.class(names::CLASS_DEFAULT) {
        Some(class) if class.is_ours() => ClassOf::Default(class),
        _ => ClassOf::Neither(Reason::NoClass),
    }
}

/// What the maker of a claim is to be told where several classes are the default and the claim's
/// is one of them: nobody can tell then whether it was chosen.
#[must_use]
pub fn warning_of_several(ask: &ClaimAsk<'_>, facts: &Facts) -> Option<String> {
    let name = ask.claim.class_name().filter(|_| ask.operation == Operation::Create)?;
    let defaults = facts.defaults();
    let [winner, _, ..] = defaults.as_slice() else { return None };
    defaults.iter().any(|fact| fact.class.name == name).then(|| {
        let names: Vec<_> = defaults.iter().map(|fact| fact.class.name.as_str()).collect();
        format!("several default StorageClasses: {}; {} wins", names.join(", "), winner.class.name)
    })
}
