//! The modes of a Service by its own annotation, and without one.

use super::{Settings, foreign, is_ours};
use crate::snapshot::Snapshot;
use fastrak_api::balancer::{Choice, Ingress, Mode, ServiceView};

/// A text that names no mode, or one that is not installed.
pub(super) struct Unserved(pub(super) String);

/// The modes of a Service that names none.
pub(super) struct Fallback<'a> {
    /// Its mode, by its namespace or else by the settings.
    pub(super) choice: Result<Choice<'a>, Unserved>,
    /// The mode of Services that their own mode cannot carry.
    pub(super) alternative: Mode,
    /// Whether the inlets operator is installed, if it is known.
    inlets_operator: Option<bool>,
    pub(super) settings: Settings,
}

/// Returns the mode that a text names.
pub(super) fn chosen(
    text: Option<&str>,
    settings: Settings,
) -> Result<Option<Choice<'_>>, Unserved> {
    let parse = |text| {
        let choice = Choice::parse(text).filter(|choice| settings.serves(choice.mode));
        choice.ok_or_else(|| Unserved(text.to_owned()))
    };
    text.map(parse).transpose()
}

impl<'a> Fallback<'a> {
    pub(super) fn of(service: &ServiceView, snapshot: &'a Snapshot, settings: Settings) -> Self {
        let namespace = snapshot.of_namespace(&service.namespace);
        let chosen = chosen(namespace.and_then(|info| info.balancer.as_deref()), settings);
        // The class is the Service's own request.
        let default = match settings.balancer.row().class {
            None if is_ours(service, settings) => Mode::Auto,
            Some(_) | None => settings.balancer,
        };
        let served = |mode: Mode| match settings.serves(mode) {
            true => Ok(mode),
            false => Err(Unserved(mode.to_string())),
        };
        let choice = chosen.and_then(|choice| match choice {
            Some(choice) => Ok(choice),
            None => served(default).map(Choice::of),
        });
        let alternative = match choice {
            Ok(Choice { mode: Mode::Auto, .. }) => Mode::Auto,
            Ok(_) | Err(_) => served(settings.alternative).unwrap_or(Mode::None),
        };
        let inlets_operator = snapshot.inlets_operator;
        Self { choice, alternative, inlets_operator, settings }
    }

    /// Returns the choice that serves a Service of this choice: `auto` prefers inlets where its operator is
    /// installed, and keeps what has obtained an address.
    pub(super) fn resolved<'b>(
        &self,
        choice: Choice<'b>,
        recorded: Option<Mode>,
        service: &ServiceView,
    ) -> Choice<'b> {
        let has_tunnel = recorded == Some(Mode::Inlets) && service.ingress != Ingress::Absent;
        let takes_inlets = recorded != Some(Mode::Auto)
            && service.class.is_none()
            && match service.unsupported(Mode::Inlets) {
                None => has_tunnel || self.inlets_operator == Some(true),
                Some(what) => has_tunnel && what.may_continue(),
            };
        match choice.mode {
            Mode::Auto if takes_inlets => Choice::of(Mode::Inlets),
            _ => choice,
        }
    }

    /// Returns whether a default decision has obtained nothing, and the default is `auto` now.
    pub(super) fn replaces(&self, recorded: Option<Mode>, service: &ServiceView) -> bool {
        let obtains_nothing = match recorded {
            Some(Mode::Inlets) => self.inlets_operator == Some(false),
            Some(Mode::None) => true,
            Some(Mode::Auto | Mode::AddressPool | Mode::NodeIp | Mode::Class) | None => false,
        };
        obtains_nothing
            && matches!(self.choice, Ok(Choice { mode: Mode::Auto, .. }))
            && service.ingress == Ingress::Absent
            && foreign(service, None, self.settings).is_none()
    }
}
