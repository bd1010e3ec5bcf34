//! The form of the events that the webhook records. Of what, and whether, is for those who record them.

use fastrak_api::reason::EventReason;
use kube::runtime::events::{Event, EventType};

/// An event of this reason, recorded while doing `action`.
pub(crate) fn event(reason: EventReason, action: &str, note: String) -> Event {
    Event {
        type_: if reason.is_warning() { EventType::Warning } else { EventType::Normal },
        reason: reason.as_str().to_owned(),
        note: Some(note),
        action: action.to_owned(),
        secondary: None,
    }
}
