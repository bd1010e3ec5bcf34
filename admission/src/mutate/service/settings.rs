//! The operator's settings for Services.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use fastrak_api::balancer::Mode;

/// The operator's settings for Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The mode of Services that name none.
    pub balancer: Mode,
    /// The mode of Services that their own mode cannot carry. It carries everything.
    pub alternative: Mode,
    /// True if `deploy/addresses` is installed.
    pub addresses: bool,
    /// True if everything is decided and nothing done. Decisions do not depend on it.
    pub dry_run: bool,
}

impl Settings {
    /// Returns whether a mode is installed.
    #[must_use]
    pub const fn serves(&self, mode: Mode) -> bool {
        match mode {
            Mode::Auto | Mode::AddressPool | Mode::NodeIp => self.addresses,
            Mode::Inlets | Mode::Class | Mode::None => true,
        }
    }
}

/// Parses the name of a mode, as a flag.
pub fn balancer() -> impl TypedValueParser<Value = Mode> {
    parser(|mode| mode != Mode::Class)
}

/// Parses the name of a mode that carries everything, as a flag.
pub fn alternative() -> impl TypedValueParser<Value = Mode> {
    parser(|mode| mode != Mode::Class && mode.carries_everything())
}

fn parser(accepts: fn(Mode) -> bool) -> impl TypedValueParser<Value = Mode> {
    let modes = Mode::ALL.into_iter().filter(move |mode| accepts(*mode));
    PossibleValuesParser::new(modes.map(Mode::as_str))
        .try_map(|name| Mode::parse(&name).ok_or("is not a mode"))
}
