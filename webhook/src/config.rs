//! The flags of the program. Each module defines its own; they are collected here.

use crate::command::Command;
use crate::lead::LeadArgs;
use crate::rotation::RotationArgs;
use crate::serve::ServeArgs;
use crate::snapshot::watcher::SnapshotArgs;
use crate::webhook_config::InstallationArgs;
use fastrak_admission::mutate::service::{Settings, settings};
use fastrak_api::balancer::Mode;
use fastrak_runtime::admin::AdminArgs;
use fastrak_runtime::client::ClientArgs;
use fastrak_runtime::log::LogArgs;

/// Sets the class and the node of claims and the balancer mode of Services at admission. Runs the
/// server unless a command is given.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "fastrak-webhook", version)]
pub struct Cli {
    /// The command to run instead of the server.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of the server. The global ones also apply to commands.
    #[command(flatten)]
    pub args: Args,
}

/// Sets the class and the node of claims and the balancer mode of Services at admission.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "fastrak-webhook", version)]
pub struct Args {
    /// The server.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// The decisions.
    #[command(flatten)]
    pub decide: DecideArgs,
    /// The installation.
    #[command(flatten)]
    pub installation: InstallationArgs,
    /// The certificates.
    #[command(flatten)]
    pub rotation: RotationArgs,
    /// The work of the leader.
    #[command(flatten)]
    pub lead: LeadArgs,
    /// The snapshot of the cluster.
    #[command(flatten)]
    pub snapshot: SnapshotArgs,
    /// Health and metrics.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// The API server.
    #[command(flatten)]
    pub client: ClientArgs,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// The flags of decisions.
#[derive(Clone, Debug, clap::Args)]
pub struct DecideArgs {
    /// Balancer mode of Services that name none.
    #[arg(long, env = "FASTRAK_BALANCER", value_parser = settings::balancer(), default_value = "inlets", requires_ifs([("auto", "addresses"), ("address-pool", "addresses"), ("node-ip", "addresses")]), global = true)]
    pub balancer: Mode,
    /// Balancer mode of Services that inlets cannot carry: source ranges, a requested address, or a
    /// port that is UDP, SCTP or 8123.
    #[arg(
        long,
        env = "FASTRAK_BALANCER_ALTERNATIVE",
        value_parser = settings::alternative(),
        requires_ifs([("auto", "addresses"), ("address-pool", "addresses"), ("node-ip", "addresses")]),
        default_value = "none",
        global = true
    )]
    pub balancer_alternative: Mode,
    /// Give Services addresses of AddressPools and of nodes. Requires the component deploy/addresses.
    #[arg(long, env = "FASTRAK_ADDRESSES", global = true)]
    pub addresses: bool,
    /// Change nothing: report changes and denials as warnings and in metrics.
    #[arg(long, env = "FASTRAK_DRY_RUN", global = true)]
    pub dry_run: bool,
}

impl DecideArgs {
    /// Returns the settings that decisions use.
    #[must_use]
    pub const fn settings(&self) -> Settings {
        let Self { balancer, balancer_alternative: alternative, addresses, dry_run } = *self;
        Settings { balancer, alternative, addresses, dry_run }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::clients::ClientAuth;
    use clap::Parser as _;
    use std::time::Duration;

    fn parse(flags: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["fastrak-webhook"], flags].concat())
    }

    #[test]
    fn the_defaults_are_those_of_an_installation_from_the_manifests() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.decide.balancer, Mode::Inlets);
        assert_eq!(args.serve.drain, Duration::from_secs(5));
        assert_eq!(args.serve.clients.client_auth, ClientAuth::Off);
    }

    #[test]
    fn unsupported_balancers_are_rejected() {
        for flags in [["--balancer", "node-ip"], ["--balancer-alternative", "inlets"]] {
            assert!(parse(&flags).is_err(), "{flags:?}");
        }
    }

    #[test]
    fn address_pool_requires_addresses() {
        for flag in ["--balancer=address-pool", "--balancer-alternative=address-pool"] {
            assert!(parse(&[flag]).is_err(), "{flag}");
            assert!(parse(&[flag, "--addresses"]).is_ok(), "{flag}");
        }
    }

    #[test]
    fn client_authentication_requires_a_ca_file() {
        assert!(parse(&["--client-auth", "require"]).is_err());
        assert!(parse(&["--client-auth", "observe"]).is_err());
        let flags =
            ["--client-auth=require", "--client-ca=ca.crt", "--client-name=a", "--client-name=b"];
        assert_eq!(parse(&flags).unwrap().serve.clients.client_names, ["a", "b"]);
    }

    #[test]
    fn a_limit_is_at_least_one() {
        for flag in ["--max-connections", "--max-in-flight"] {
            assert!(parse(&[flag, "1"]).is_ok(), "{flag}");
            for value in ["0", "-1", "", "many"] {
                assert!(parse(&[&format!("{flag}={value}")]).is_err(), "{flag} {value}");
            }
        }
    }
}
