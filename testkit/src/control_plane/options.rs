//! The options of a control plane.

use std::fmt;
use std::net::Ipv4Addr;

/// One of the programs of a control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// etcd.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controller manager.
    ControllerManager,
    /// The scheduler.
    Scheduler,
}

impl Component {
    /// Returns the name of the program.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}

/// The programs to start and their additional flags.
#[derive(Debug, Clone)]
pub struct Options {
    components: Vec<Component>,
    flags: Vec<(Component, String)>,
    node_lifecycle: bool,
    audited: bool,
    pub(crate) place: Place,
}

/// The namespaces in which the processes run, and their address.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The command that starts a program there; empty on the machine itself.
    pub(crate) prefix: Vec<String>,
    /// The address that clients use.
    pub(crate) address: Ipv4Addr,
    /// Further names and addresses of the API server.
    pub(crate) names: Vec<String>,
}

impl Place {
    fn loopback() -> Self {
        Self { prefix: Vec::new(), address: Ipv4Addr::LOCALHOST, names: Vec::new() }
    }

    /// Returns whether it is the machine itself, whose ports other programs use too.
    pub(crate) fn is_loopback(&self) -> bool {
        self.address.is_loopback()
    }
}

impl Options {
    /// Returns the options of etcd and the API server.
    #[must_use]
    pub fn api_only() -> Self {
        Self::of(&[])
    }

    /// Adds the controller manager, which binds claims, empties namespaces and collects garbage.
    #[must_use]
    pub fn with_controllers() -> Self {
        Self::of(&[Component::ControllerManager])
    }

    /// Adds the scheduler, which assigns pods to nodes. No pod runs.
    #[must_use]
    pub fn full() -> Self {
        Self::of(&[Component::ControllerManager, Component::Scheduler])
    }

    /// Adds a flag of a program. It overrides the default flag.
    #[must_use]
    pub fn flag(mut self, component: Component, flag: impl Into<String>) -> Self {
        self.flags.push((component, flag.into()));
        self
    }

    /// Enables the node lifecycle controller, which real nodes need. Without it, Node objects
    /// without a kubelet stay Ready.
    #[must_use]
    pub fn real_nodes(mut self) -> Self {
        self.node_lifecycle = true;
        self
    }

    /// Enables the audit log of requests by ServiceAccounts, in
    /// [`audit_log`](super::ControlPlane::audit_log).
    #[must_use]
    pub fn audited(mut self) -> Self {
        self.audited = true;
        self
    }

    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    pub(crate) fn has_node_lifecycle(&self) -> bool {
        self.node_lifecycle
    }

    pub(crate) fn is_audited(&self) -> bool {
        self.audited
    }

    pub(crate) fn components(&self) -> &[Component] {
        &self.components
    }

    pub(crate) fn flags_of(&self, component: Component) -> impl Iterator<Item = &str> {
        let own = move |(of, flag): &'_ &(Component, String)| *of == component && !flag.is_empty();
        self.flags.iter().filter(own).map(|(_, flag)| flag.as_str())
    }

    fn of(beyond_api: &[Component]) -> Self {
        let components = [&[Component::Etcd, Component::ApiServer], beyond_api].concat();
        Self {
            components,
            flags: Vec::new(),
            node_lifecycle: false,
            audited: false,
            place: Place::loopback(),
        }
    }
}
