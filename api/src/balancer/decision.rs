//! How a Service asks for an address, and what was decided about it, as both are written on it.

use crate::names;
use std::fmt;

/// How a Service is to get its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A machine with a public address, from the inlets operator.
    Inlets,
    /// A node's own address.
    NodeIp,
    /// An address of an unused subnet.
    IpAlias,
    /// Another load balancer, by its class.
    Class(String),
    /// Not at all.
    None,
}

/// What was decided about a Service, as it is recorded on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The inlets operator serves it.
    Inlets,
    /// Nobody serves it.
    None,
    /// It was left as it is.
    Skipped(SkipReason),
}

/// Why a Service was left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// It has no cluster address to forward to.
    Headless,
    /// Its load balancer's class is someone else's.
    ForeignClass,
    /// Someone else has given it an address.
    ForeignAddress,
    /// Its annotations or finalizers are another load balancer's.
    ForeignMark,
    /// Its user has told the inlets operator what to do.
    UserManaged,
    /// It asks for what this version does not serve, or for what is nothing.
    UnservedChoice,
}

/// A text that is no way to an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "annotation {key} is {value:?}; write one of: inlets, node-ip, ip-alias, class=<name>, none",
    key = names::BALANCER
)]
pub struct ChoiceError {
    value: String,
}

impl Choice {
    /// Reads a way to an address.
    pub fn parse(text: &str) -> Result<Self, ChoiceError> {
        match text {
            "inlets" => Ok(Self::Inlets),
            "node-ip" => Ok(Self::NodeIp),
            "ip-alias" => Ok(Self::IpAlias),
            "none" => Ok(Self::None),
            _ => match text.strip_prefix("class=") {
                Some(name) if !name.is_empty() => Ok(Self::Class(name.to_owned())),
                _ => Err(ChoiceError { value: text.to_owned() }),
            },
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inlets => f.write_str("inlets"),
            Self::NodeIp => f.write_str("node-ip"),
            Self::IpAlias => f.write_str("ip-alias"),
            Self::Class(name) => write!(f, "class={name}"),
            Self::None => f.write_str("none"),
        }
    }
}

const SKIPPED: &str = "skipped:";

impl Decision {
    /// Reads the annotation `fastrak.io/balancer-decision`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "inlets" => Some(Self::Inlets),
            "none" => Some(Self::None),
            _ => SkipReason::parse(text.strip_prefix(SKIPPED)?).map(Self::Skipped),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inlets => f.write_str("inlets"),
            Self::None => f.write_str("none"),
            Self::Skipped(reason) => write!(f, "{SKIPPED}{}", reason.as_str()),
        }
    }
}

impl SkipReason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Headless,
        Self::ForeignClass,
        Self::ForeignAddress,
        Self::ForeignMark,
        Self::UserManaged,
        Self::UnservedChoice,
    ];

    /// The reason as it is recorded.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Headless => "headless",
            Self::ForeignClass => "foreign-class",
            Self::ForeignAddress => "foreign-address",
            Self::ForeignMark => "foreign-mark",
            Self::UserManaged => "user-managed",
            Self::UnservedChoice => "unserved-choice",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}
