//! Compares our webhook configuration with the shipped one. A difference sets a metric and is
//! logged. Nothing is repaired: the administrator owns the configuration and may have changed it on
//! purpose. `rotation/` owns `caBundle`.

pub(crate) mod controller;
pub(crate) mod metrics;
pub(crate) mod plan;
pub(crate) mod shipped;

use self::plan::Installation;
use fastrak_api::names;

/// The flags of the installation.
#[derive(Clone, Debug, clap::Args)]
pub struct InstallationArgs {
    /// Name of the Service by which the API server reaches this webhook.
    #[arg(long, env = "FASTRAK_SERVICE_NAME", default_value = names::WEBHOOK, value_name = "NAME")]
    pub service_name: String,
    /// Namespace that fastrak runs in.
    #[arg(long, env = "POD_NAMESPACE", default_value = names::NAMESPACE, value_name = "NAMESPACE", global = true)]
    pub namespace: String,
    /// Further DNS names or IP addresses that the certificate is for; may be repeated.
    #[arg(long = "tls-name", value_name = "NAME")]
    pub tls_names: Vec<String>,
}

impl InstallationArgs {
    /// Returns the installation. The API server uses the short name of the Service; people and
    /// proxies use the long one.
    #[must_use]
    pub fn installation(&self) -> Installation {
        let Self { service_name, namespace, tls_names } = self;
        let short = format!("{service_name}.{namespace}.svc");
        let names = vec![short.clone(), format!("{short}.cluster.local")];
        Installation {
            namespace: namespace.clone(),
            service: service_name.clone(),
            names: [names, tls_names.clone()].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_is_for_the_service_and_the_additional_names() {
        let args = InstallationArgs {
            service_name: "hook".to_owned(),
            namespace: "mine".to_owned(),
            tls_names: vec!["127.0.0.1".to_owned()],
        };
        let names = ["hook.mine.svc", "hook.mine.svc.cluster.local", "127.0.0.1"];
        assert_eq!(args.installation().names, names);
    }
}
