//! Who can be asked to serve a Service, and how that is written and recorded. It does not decide
//! who is.

use super::settings::{Alternative, Balancer};
use crate::patch::{Edit, Field};
use fastrak_api::balancer::Decision;
use fastrak_api::names::inlets;

/// Who serves a Service, of those that this version can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The inlets-operator.
    Inlets,
    /// Nobody.
    Nobody,
}

impl Server {
    /// Who was decided for; a Service that was skipped has nobody.
    pub(super) fn recorded(decision: Decision) -> Option<Self> {
        match decision {
            Decision::Inlets => Some(Self::Inlets),
            Decision::None => Some(Self::Nobody),
            Decision::Skipped(_) => None,
        }
    }

    /// The values for the operator: of its current versions, and of 0.16 and earlier.
    pub const fn manage(self) -> (&'static str, &'static str) {
        match self {
            Self::Inlets => ("1", "true"),
            Self::Nobody => ("0", "false"),
        }
    }

    /// The edits that write these values.
    pub(super) fn edits(self) -> Vec<Edit> {
        let (current, legacy) = self.manage();
        vec![
            Edit::set(Field::Annotation(inlets::MANAGE), current),
            Edit::set(Field::Annotation(inlets::MANAGE_LEGACY), legacy),
        ]
    }

    /// How that is recorded.
    pub const fn decision(self) -> Decision {
        match self {
            Self::Inlets => Decision::Inlets,
            Self::Nobody => Decision::None,
        }
    }
}

impl Balancer {
    /// Returns who serves a Service by this choice.
    pub const fn server(self) -> Server {
        match self {
            Self::Inlets => Server::Inlets,
            Self::None => Server::Nobody,
        }
    }
}

impl Alternative {
    /// Returns who serves a Service by this choice.
    pub const fn server(self) -> Server {
        match self {
            Self::None => Server::Nobody,
        }
    }
}
