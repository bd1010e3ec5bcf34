//! The flags, and what they come to. Nothing is read or connected here.

use crate::command::Command;
use crate::serve::Limits;
use crate::serve::client_ca::ClientPolicy;
use crate::serve::clients::ClientAuth;
use crate::serve::http::Allowance;
use crate::webhook_config::plan::Installation;
use fastrak_admission::mutate::service::Settings;
use fastrak_admission::mutate::service::settings;
use fastrak_api::balancer::Mode;
use fastrak_api::duration::{parse_or_seconds, parse_second_or_more};
use fastrak_api::names;
use fastrak_runtime::admin::AdminArgs;
use fastrak_runtime::client::ClientArgs;
use fastrak_runtime::clock::Clock;
use fastrak_runtime::log::LogArgs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Completes claims and Services on their way into the cluster. Without a command it serves.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "fastrak-webhook", version)]
pub struct Cli {
    /// What to do in place of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of the server, of which some hold for commands too.
    #[command(flatten)]
    pub args: Args,
}

/// Completes claims and Services on their way into the cluster.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "fastrak-webhook", version)]
pub struct Args {
    /// Address at which reviews are answered (HTTPS).
    #[arg(long, env = "FASTRAK_LISTEN", default_value = "[::]:8443", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Who gives an address to Services that ask for nobody.
    #[arg(long, env = "FASTRAK_BALANCER", value_parser = settings::balancer(), default_value = "inlets", global = true)]
    pub balancer: Mode,
    /// Who gives an address to Services that inlets cannot carry (UDP, SCTP, port 8123).
    #[arg(
        long,
        env = "FASTRAK_BALANCER_ALTERNATIVE",
        value_parser = settings::alternative(),
        default_value = "none",
        global = true
    )]
    pub balancer_alternative: Mode,
    /// Decide everything and do nothing: changes and refusals become warnings and counts.
    #[arg(long, env = "FASTRAK_DRY_RUN", global = true)]
    pub dry_run: bool,
    /// Name of the Service by which the API server reaches this webhook.
    #[arg(long, env = "FASTRAK_SERVICE_NAME", default_value = names::WEBHOOK, value_name = "NAME")]
    pub service_name: String,
    /// Namespace that fastrak runs in.
    #[arg(long, env = "POD_NAMESPACE", default_value = names::NAMESPACE, value_name = "NAMESPACE", global = true)]
    pub namespace: String,
    /// Further DNS names or IP addresses that the certificate is for; may be repeated.
    #[arg(long = "tls-name", value_name = "NAME")]
    pub tls_names: Vec<String>,
    /// Folder with a certificate of your own (tls.crt, tls.key, perhaps ca.crt) to serve.
    #[arg(long, env = "FASTRAK_TLS_DIR", value_name = "FOLDER")]
    pub tls_dir: Option<PathBuf>,
    /// How long an authority lasts; its successor is made at two thirds.
    #[arg(long, env = "FASTRAK_CA_LIFETIME", default_value = "365d", value_name = "TIME", value_parser = parse_second_or_more)]
    pub ca_lifetime: Duration,
    /// How long a certificate lasts; its successor is made at two thirds.
    #[arg(long, env = "FASTRAK_CERTIFICATE_LIFETIME", default_value = "30d", value_name = "TIME", value_parser = parse_second_or_more)]
    pub certificate_lifetime: Duration,
    /// How long API servers are given to learn of a new authority before it is served by.
    #[arg(long, env = "FASTRAK_BUNDLE_SETTLE", default_value = "10s", value_name = "TIME", value_parser = parse_or_seconds)]
    pub bundle_settle: Duration,
    /// How often the certificate is looked at if nothing says that it has changed [default: 10m, and
    /// 30s for files: --tls-dir, --client-ca].
    #[arg(long, env = "FASTRAK_CERTIFICATE_POLL", value_name = "TIME", value_parser = parse_second_or_more)]
    pub certificate_poll: Option<Duration>,
    /// How long reviews are still taken after the end was asked for, in seconds.
    #[arg(long, env = "FASTRAK_DRAIN", default_value = "5", value_name = "SECONDS", value_parser = parse_or_seconds)]
    pub drain: Duration,
    /// How many connections are served at a time; for one more, the longest silent one has to go.
    #[arg(long, env = "FASTRAK_MAX_CONNECTIONS", default_value = "4096", value_name = "NUMBER", value_parser = at_least_one)]
    pub max_connections: usize,
    /// How many reviews are decided at a time; others wait, or go through undecided when late.
    #[arg(long, env = "FASTRAK_MAX_IN_FLIGHT", default_value = "64", value_name = "NUMBER", value_parser = at_least_one)]
    pub max_in_flight: usize,
    /// What is made of clients' certificates.
    #[arg(long, env = "FASTRAK_CLIENT_AUTH", value_enum, default_value = "off")]
    pub client_auth: ClientAuth,
    /// File with the authorities of clients' certificates (PEM), read again when it changes.
    #[arg(long, env = "FASTRAK_CLIENT_CA", value_name = "FILE", required_if_eq_any = [("client_auth", "observe"), ("client_auth", "require")])]
    pub client_ca: Option<PathBuf>,
    /// Common name of a client that may ask, where not all may that those authorities have signed;
    /// may be repeated.
    #[arg(long = "client-name", value_name = "NAME")]
    pub client_names: Vec<String>,
    /// How long an object is left alone before it is repaired, in seconds.
    #[arg(long, env = "FASTRAK_REPAIR_DELAY", default_value = "2", value_name = "SECONDS", value_parser = parse_or_seconds)]
    pub repair_delay: Duration,
    /// The least time between two repairs, in seconds.
    #[arg(long, env = "FASTRAK_REPAIR_INTERVAL", default_value = "0.02", value_name = "SECONDS", value_parser = parse_or_seconds)]
    pub repair_interval: Duration,
    /// How long an agent may be not Ready before it counts as down and is reported, in seconds.
    #[arg(long, env = "FASTRAK_AGENT_GRACE", default_value = "60", value_name = "SECONDS", value_parser = parse_or_seconds)]
    pub agent_grace: Duration,
    /// How often the API server is asked whether it reaches the webhook, in seconds; 0: never.
    #[arg(long, env = "FASTRAK_PROBE_INTERVAL", default_value = "60", value_name = "SECONDS", value_parser = parse_or_seconds)]
    pub probe_interval: Duration,
    /// How long a replica that fell silent keeps the lead, in seconds.
    #[arg(long, env = "FASTRAK_LEASE_DURATION", default_value = "15", value_name = "SECONDS", value_parser = parse_second_or_more)]
    pub lease_duration: Duration,
    /// Name of the pod, by which people can see which replica leads.
    #[arg(long, env = "POD_NAME", default_value = names::WEBHOOK, value_name = "NAME")]
    pub pod_name: String,
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

/// How long a request may take, where the API server asks for no less.
const REQUEST: Duration = Duration::from_secs(10);

/// How often a certificate of our own is looked at, if no flag says so.
const CERTIFICATE_POLL: Duration = Duration::from_secs(10 * 60);
/// How often files with certificates are read, if no flag says so.
const FILE_POLL: Duration = Duration::from_secs(30);

/// What the flags come to.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where reviews are answered.
    pub listen: SocketAddr,
    /// Where health and metrics are served.
    pub admin: AdminArgs,
    /// How to reach the API server.
    pub client: ClientArgs,
    /// How Services get their addresses.
    pub services: Settings,
    /// The namespace that fastrak runs in.
    pub namespace: String,
    /// The Service by which the API server reaches us.
    pub service_name: String,
    /// The names that the certificate is for.
    pub tls_names: Vec<String>,
    /// Where a certificate of the operator's is, if they bring one.
    pub tls_dir: Option<PathBuf>,
    /// How long an authority lasts.
    pub ca_lifetime: Duration,
    /// How long a certificate lasts.
    pub certificate_lifetime: Duration,
    /// How long API servers are given to learn of a new authority.
    pub bundle_settle: Duration,
    /// How often a certificate of our own is looked at. Watches say when it has changed, and it says
    /// itself when it has to be renewed; but timers stand still while a machine is suspended.
    pub certificate_poll: Duration,
    /// How often files with certificates are read: nothing says that they have changed.
    pub file_poll: Duration,
    /// The wall clock by which certificates are made and judged.
    pub clock: Clock,
    /// How long reviews are still taken after the end was asked for.
    pub drain: Duration,
    /// How long an object is left alone before it is repaired.
    pub repair_delay: Duration,
    /// The least time between two repairs.
    pub repair_interval: Duration,
    /// How long an agent may be not Ready before it counts as down.
    pub agent_grace: Duration,
    /// How often the API server is asked whether it reaches us; never when it is zero.
    pub probe_interval: Duration,
    /// How long a replica that fell silent keeps the lead.
    pub lease_duration: Duration,
    /// The name of this replica.
    pub pod_name: String,
    /// How many connections there may be, and how long things may take on one.
    pub limits: Limits,
    /// How much may be asked at a time.
    pub allowance: Allowance,
    /// What is made of clients' certificates.
    pub clients: ClientPolicy,
}

impl From<Args> for Config {
    fn from(args: Args) -> Self {
        let Args {
            listen,
            balancer,
            balancer_alternative,
            dry_run,
            service_name,
            namespace,
            tls_names,
            tls_dir,
            ca_lifetime,
            certificate_lifetime,
            bundle_settle,
            certificate_poll,
            drain,
            max_connections,
            max_in_flight,
            client_auth,
            client_ca,
            client_names,
            repair_delay,
            repair_interval,
            agent_grace,
            probe_interval,
            lease_duration,
            pod_name,
            admin,
            client,
            log: _,
        } = args;
        Self {
            listen,
            admin,
            client,
            services: Settings { balancer, alternative: balancer_alternative, dry_run },
            tls_names: [service_names(&service_name, &namespace), tls_names].concat(),
            namespace,
            service_name,
            tls_dir,
            ca_lifetime,
            certificate_lifetime,
            bundle_settle,
            certificate_poll: certificate_poll.unwrap_or(CERTIFICATE_POLL),
            file_poll: certificate_poll.unwrap_or(FILE_POLL),
            clock: Clock::default(),
            drain,
            repair_delay,
            repair_interval,
            agent_grace,
            probe_interval,
            lease_duration,
            pod_name,
            limits: Limits { connections: max_connections, ..Limits::default() },
            allowance: Allowance { request: REQUEST, in_flight: max_in_flight },
            clients: ClientPolicy {
                auth: client_auth,
                authorities: client_ca,
                names: client_names,
            },
        }
    }
}

impl Config {
    /// As what we are registered.
    #[must_use]
    pub fn us(&self) -> Installation {
        Installation {
            namespace: self.namespace.clone(),
            service: self.service_name.clone(),
            names: self.tls_names.clone(),
        }
    }
}

/// The API server calls a Service by its short name; people and proxies use the long one.
fn service_names(service: &str, namespace: &str) -> Vec<String> {
    let short = format!("{service}.{namespace}.svc");
    vec![short.clone(), format!("{short}.cluster.local")]
}

/// A bound that lets somebody through.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a whole number from 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn the_certificate_is_for_the_service_and_for_the_names_that_are_added() {
        let args =
            ["w", "--namespace", "mine", "--service-name", "hook", "--tls-name", "127.0.0.1"];
        let config = Config::from(Args::try_parse_from(args).unwrap());
        assert_eq!(config.tls_names, ["hook.mine.svc", "hook.mine.svc.cluster.local", "127.0.0.1"]);
        assert_eq!(config.services.balancer, Mode::Inlets);
        assert_eq!(config.drain, Duration::from_secs(5));
    }

    #[test]
    fn what_this_version_cannot_ask_for_is_refused_as_a_flag() {
        for args in [["--balancer", "node-ip"], ["--balancer-alternative", "inlets"]] {
            let args = ["w"].into_iter().chain(args);
            assert!(Args::try_parse_from(args).is_err());
        }
    }

    #[test]
    fn clients_are_looked_at_by_a_file_that_says_whom_to_trust() {
        let parse = |args: &[&str]| Args::try_parse_from([&["w"], args].concat());
        assert!(parse(&["--client-auth", "require"]).is_err());
        assert!(parse(&["--client-auth", "observe"]).is_err());
        let args =
            ["--client-auth=require", "--client-ca=ca.crt", "--client-name=a", "--client-name=b"];
        let config = Config::from(parse(&args).unwrap());
        assert_eq!(config.clients.names, ["a", "b"]);
        assert_eq!(Config::from(parse(&[]).unwrap()).clients.auth, ClientAuth::Off);
    }

    #[test]
    fn a_bound_lets_somebody_through() {
        assert_eq!(at_least_one("1"), Ok(1));
        for text in ["0", "-1", "", "many"] {
            assert!(at_least_one(text).is_err(), "{text}");
        }
    }
}
