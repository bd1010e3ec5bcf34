//! The flags of the program.

use crate::interface::InterfaceName;
use fastrak_api::node::NodeName;
use fastrak_runtime::admin::AdminArgs;
use fastrak_runtime::client::ClientArgs;
use fastrak_runtime::log::LogArgs;

/// The default address of the admin port. A speaker is in the network of its node, where other
/// programs have ports too, and where no NetworkPolicy applies.
const ADMIN_ADDR: &str = "127.0.0.1:19180";

/// Answers ARP and NDP requests for the addresses of Services on one node.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "fastrak-speaker", version)]
#[command(mut_arg("admin_addr", |arg| arg.default_value(ADMIN_ADDR)))]
pub struct Args {
    /// Name of the node that the speaker works for.
    #[arg(long, env = "NODE_NAME", value_name = "NAME", value_parser = NodeName::parse)]
    pub node: NodeName,
    /// Interface whose network contains the addresses (default: the interface of the default route).
    #[arg(long, env = "FASTRAK_INTERFACE", value_name = "NAME", value_parser = InterfaceName::parse)]
    pub interface: Option<InterfaceName>,
    /// The health and metrics endpoints.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// The connection to the API server.
    #[command(flatten)]
    pub client: ClientArgs,
    /// The log settings. They are applied first, so that all other errors are logged.
    #[command(flatten)]
    pub log: LogArgs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn args(flags: &[&str]) -> Result<Args, String> {
        let flags = ["fastrak-speaker", "--node=node-a"].iter().chain(flags);
        Args::try_parse_from(flags).map_err(|error| error.to_string())
    }

    #[test]
    fn by_default_it_uses_the_default_route_and_listens_on_loopback_only() {
        let args = args(&[]).unwrap();
        assert_eq!((args.node.as_str(), args.interface), ("node-a", None));
        assert!(args.admin.admin_addr.ip().is_loopback());
        assert_eq!(args.admin.metrics_addr, None);
    }

    #[test]
    fn the_interface_and_the_admin_port_can_be_set() {
        let args = args(&["--interface=bond0.100", "--admin-addr=[::]:8080"]).unwrap();
        assert_eq!(args.interface.unwrap().as_str(), "bond0.100");
        assert_eq!(args.admin.admin_addr, "[::]:8080".parse().unwrap());
    }

    #[test]
    fn invalid_flags_are_refused_with_the_reason() {
        for (flag, words) in [
            ("--interface=", "1 to 15 bytes"),
            ("--interface=a-name-that-is-too-long", "1 to 15 bytes"),
            ("--interface=../eth0", "no '/'"),
            ("--admin-addr=8080", "invalid socket address"),
            ("--metrics-addr=[::]:8444", "--metrics-tls-dir"),
        ] {
            let error = args(&[flag]).unwrap_err();
            assert!(error.contains(words), "{flag}: {error}");
        }
        let error = Args::try_parse_from(["fastrak-speaker", "--node=Node A"]).unwrap_err();
        assert!(error.to_string().contains("a node name consists of"), "{error}");
    }
}
