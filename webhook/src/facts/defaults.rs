//! Tells the cluster's operator of several StorageClasses that are all marked as the default: a
//! gauge of every replica's; by the leader also a line in the log and an event on each of them, once
//! for each change. It does not take a mark off, and it does nothing on the road of a request.

use super::ClassFact;
use super::feed::Board;
use crate::event::event;
use crate::metrics::Metrics;
use fastrak_api::reason::EventReason;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::lease::Leadership;
use fastrak_runtime::shutdown::Shutdown;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::Recorder;
use std::convert::Infallible;
use std::sync::Arc;

/// What has been reported: the classes in the order in which they win.
type Reported = Vec<String>;

/// The task that watches the defaults.
pub struct DefaultsWatch {
    /// Where the facts are.
    pub board: Board,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// What records events.
    pub recorder: Recorder,
    /// Whether this replica leads. Every replica counts, one speaks.
    pub leadership: Leadership,
}

impl DefaultsWatch {
    /// Watches until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut news = self.board.subscribe();
        let mut leadership = self.leadership.clone();
        let mut reported = Reported::new();
        loop {
            let leads = leadership.is_held();
            reported = self.look(leads, reported).await;
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = leadership.changed(leads) => {}
                changed = news.changed() => if changed.is_err() {
                    shutdown.requested().await;
                    return Ok(());
                },
            }
        }
    }

    /// Counts, and reports what has not been reported yet. What was reported by a leader is nothing
    /// to one that leads no longer.
    async fn look(&self, leads: bool, reported: Reported) -> Reported {
        let Some(facts) = self.board.latest() else { return reported };
        let defaults = facts.defaults();
        self.metrics.default_classes.set(i64::try_from(defaults.len()).unwrap_or(i64::MAX));
        if !leads {
            return Reported::new();
        }
        let names: Reported = defaults.iter().map(|fact| fact.class.name.clone()).collect();
        if names == reported {
            return names;
        }
        let Some(note) = note(&names) else {
            tracing::info!(default = ?names, "default StorageClass");
            return names;
        };
        tracing::warn!(classes = ?names, "{note}");
        for fact in defaults {
            self.record(fact, &note).await;
        }
        names
    }

    async fn record(&self, fact: &ClassFact, note: &str) {
        let event = event(EventReason::MultipleDefaultClasses, "Watching", note.to_owned());
        let class = ObjectReference {
            api_version: Some("storage.k8s.io/v1".to_owned()),
            kind: Some("StorageClass".to_owned()),
            name: Some(fact.class.name.clone()),
            uid: Some(fact.uid.clone()),
            ..ObjectReference::default()
        };
        if let Err(error) = self.recorder.publish(&event, &class).await {
            tracing::warn!(error = %Chain(&error), class = fact.class.name, "no event recorded");
        }
    }
}

/// What is wrong with these defaults, the winner first; nothing where there is one, or none.
fn note(names: &[String]) -> Option<String> {
    let [winner, _, ..] = names else { return None };
    Some(format!(
        "several StorageClasses are marked as the default: {}; claims without a class get {winner}. \
         Take the mark off all but one.",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::note;

    #[test]
    fn several_defaults_are_named_with_the_one_that_wins() {
        let names = ["b", "a", "c"].map(str::to_owned);
        let text = note(&names).unwrap();
        assert!(text.contains("b, a, c") && text.contains("get b."), "{text}");
        assert_eq!(note(&names[..1]), None);
        assert_eq!(note(&[]), None);
    }
}
