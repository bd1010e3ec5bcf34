//! What the operator of the cluster has configured for Services. It names only who can be asked in
//! this version.

/// What the operator of the cluster has configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who serves a Service that asks for nobody.
    pub balancer: Balancer,
    /// Who serves what the inlets operator cannot carry.
    pub alternative: Alternative,
    /// Whether everything is decided and nothing done. Decisions do not depend on it.
    pub dry_run: bool,
}

/// Who may be configured to serve Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Balancer {
    /// The inlets operator.
    Inlets,
    /// Nobody.
    None,
}

/// Who may be configured to serve what the inlets operator cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Alternative {
    /// Nobody.
    None,
}
