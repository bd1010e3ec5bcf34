//! What is measured of agents: how many nodes have one in which state.

use fastrak_admission::snapshot::agent::Agent;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use std::fmt;

/// The label of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AgentLabel {
    /// Its state.
    pub state: AgentState,
}

/// The state of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AgentState {
    /// A pod of it is Ready.
    Ready,
    /// No pod of it has been Ready for a moment.
    Starting,
    /// No pod of it has been Ready for a while.
    Down,
}

impl From<&Agent> for AgentState {
    fn from(agent: &Agent) -> Self {
        match agent {
            Agent::Ready => Self::Ready,
            Agent::Starting => Self::Starting,
            Agent::Down { .. } => Self::Down,
        }
    }
}

impl EncodeLabelValue for AgentState {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let text = match self {
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Down => "down",
        };
        text.encode(encoder)
    }
}
