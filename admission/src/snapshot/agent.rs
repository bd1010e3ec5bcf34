//! The agent of a node, as its pods show it.

use smol_str::SmolStr;

/// The agent of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agent {
    /// A pod of it is Ready.
    Ready,
    /// No pod of it has been Ready for a short time: it is being updated, or its node has just
    /// joined.
    Starting,
    /// No pod of it has been Ready for a while.
    Down {
        /// The pod that is not Ready, if there is one.
        pod: Option<SmolStr>,
    },
}
