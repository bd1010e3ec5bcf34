//! Reports problems of StorageClasses: several default classes, and a class of another provisioner
//! with the name of ours. Each problem has a log line and an event on each class, once for each
//! change. No class is changed.

use super::reporter::SnapshotReporter;
use crate::event::Action;
use fastrak_admission::snapshot::{ClassInfo, Snapshot};
use fastrak_api::names;
use fastrak_api::reason::EventReason;
use k8s_openapi::api::core::v1::ObjectReference;

/// A problem of classes.
struct Problem<'a> {
    reason: EventReason,
    note: String,
    classes: Vec<&'a ClassInfo>,
}

impl SnapshotReporter {
    /// Reports the problems whose notes are not among the reported ones. Returns the notes of all.
    pub(super) fn report_classes(&self, snapshot: &Snapshot, reported: &[String]) -> Vec<String> {
        let problems = problems(snapshot);
        for problem in problems.iter().filter(|problem| !reported.contains(&problem.note)) {
            let (reason, note) = (problem.reason.as_str(), &problem.note);
            tracing::warn!(reason, note, "found a problem with StorageClasses");
            for class in &problem.classes {
                self.record_problem(class, problem);
            }
        }
        problems.into_iter().map(|problem| problem.note).collect()
    }

    fn record_problem(&self, info: &ClassInfo, problem: &Problem<'_>) {
        let class = ObjectReference {
            api_version: Some("storage.k8s.io/v1".to_owned()),
            kind: Some("StorageClass".to_owned()),
            name: Some(info.class.name.clone()),
            uid: Some(info.uid.clone()),
            ..ObjectReference::default()
        };
        self.events.record(class, problem.reason, Action::Watching, problem.note.clone());
    }
}

fn problems(snapshot: &Snapshot) -> Vec<Problem<'_>> {
    [several_defaults(snapshot), name_taken(snapshot)].into_iter().flatten().collect()
}

fn several_defaults(snapshot: &Snapshot) -> Option<Problem<'_>> {
    let classes = snapshot.defaults();
    let names: Vec<_> = classes.iter().map(|info| info.class.name.as_str()).collect();
    let [winner, _, ..] = names[..] else { return None };
    let note = format!(
        "several StorageClasses are marked as the default: {}; claims without a class get {winner}. \
         Remove annotation {} from all but one",
        names.join(", "),
        names::kubernetes::DEFAULT_CLASS
    );
    Some(Problem { reason: EventReason::MultipleDefaultClasses, note, classes })
}

fn name_taken(snapshot: &Snapshot) -> Option<Problem<'_>> {
    let info = snapshot.classes.get(names::CLASS_DEFAULT).filter(|info| !info.class.is_ours())?;
    if snapshot
        .classes
        .values()
        .any(|other| other.class.is_ours() && other.class.name != names::CLASS_RETAIN)
    {
        return None;
    }
    let (name, provisioner) = (&info.class.name, &info.class.provisioner);
    let note = format!(
        "StorageClass {name} belongs to provisioner {provisioner}: fastrak could not install its own \
         class and does not serve claims of {name}. Install fastrak's classes under other names with \
         deploy/class-names"
    );
    Some(Problem { reason: EventReason::ClassNameTaken, note, classes: vec![info] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrak_admission::fixtures::{marked, with_classes};
    use serde_json::json;

    fn class(name: &str, provisioner: &str) -> serde_json::Value {
        json!({"metadata": {"name": name}, "provisioner": provisioner})
    }

    #[test]
    fn several_defaults_are_reported_with_the_one_in_effect() {
        let classes = ["a", "b", "c"].map(|name| class(name, names::PROVISIONER));
        let mut snapshot = with_classes(&classes, &[]);
        for (name, created) in [
            ("b", "2026-01-02T00:00:00Z"),
            ("a", "2026-01-01T00:00:00Z"),
            ("c", "2025-01-01T00:00:00Z"),
        ] {
            assert!(several_defaults(&snapshot).is_none() || name == "c");
            snapshot = marked(&snapshot, name, created);
        }
        let problem = several_defaults(&snapshot).unwrap();
        assert!(problem.note.contains("b, a, c"), "{}", problem.note);
        assert!(problem.note.contains("get b."), "{}", problem.note);
        assert_eq!(problem.classes.len(), 3);
    }

    #[test]
    fn a_class_of_another_provisioner_with_our_name_is_reported_with_the_remedy() {
        let retain = class(names::CLASS_RETAIN, names::PROVISIONER);
        let taken = class(names::CLASS_DEFAULT, "example.com/other");
        let snapshot = with_classes(&[taken.clone(), retain.clone()], &[]);
        let note = name_taken(&snapshot).unwrap().note;
        assert!(note.contains("provisioner example.com/other"), "{note}");
        assert!(note.contains("deploy/class-names"), "{note}");
        // There is a class of ours under another name.
        let renamed = class("fastrak", names::PROVISIONER);
        assert!(name_taken(&with_classes(&[taken, retain.clone(), renamed], &[])).is_none());
        let ours = class(names::CLASS_DEFAULT, names::PROVISIONER);
        assert!(name_taken(&with_classes(&[ours, retain], &[])).is_none());
        assert!(name_taken(&with_classes(&[], &[])).is_none());
    }
}
