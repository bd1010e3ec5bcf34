//! The shipped webhook configuration. It is the manifest as JSON, and a test compares both: every
//! replica would load the YAML parser, which is larger than the code of the webhook, only for this
//! file.

use super::plan::Installation;
use fastrak_api::names;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};

/// The shipped webhook configuration.
const SHIPPED: &str = include_str!("shipped.json");

/// The shipped webhook configuration is malformed, which is a bug.
#[derive(Debug, thiserror::Error)]
#[error("internal error: the built-in webhook configuration is malformed")]
pub struct ShippedError(#[source] serde_json::Error);

/// Returns the shipped webhooks with the names of an installation.
pub(crate) fn hooks(installation: &Installation) -> Result<Vec<MutatingWebhook>, ShippedError> {
    let configuration: MutatingWebhookConfiguration =
        serde_json::from_str(SHIPPED).map_err(ShippedError)?;
    let mut hooks = configuration.webhooks.unwrap_or_default();
    hooks.iter_mut().for_each(|hook| install(hook, installation));
    Ok(hooks)
}

/// Replaces the default names by those of an installation.
fn install(hook: &mut MutatingWebhook, installation: &Installation) {
    if let Some(service) = &mut hook.client_config.service {
        service.namespace.clone_from(&installation.namespace);
        service.name.clone_from(&installation.service);
    }
    let selector = hook.namespace_selector.iter_mut();
    let expressions = selector.flat_map(|selector| selector.match_expressions.iter_mut().flatten());
    for value in expressions.flat_map(|expression| expression.values.iter_mut().flatten()) {
        if value == names::NAMESPACE {
            value.clone_from(&installation.namespace);
        }
    }
    let account = |namespace: &str| format!(":{namespace}:{}'", names::WEBHOOK);
    for condition in hook.match_conditions.iter_mut().flatten() {
        let (default, ours) = (account(names::NAMESPACE), account(&installation.namespace));
        condition.expression = condition.expression.replace(&default, &ours);
    }
}

#[cfg(test)]
mod tests {
    use super::SHIPPED;
    use serde_json::Value;

    #[test]
    fn the_built_in_configuration_equals_the_manifest() {
        let manifest = include_str!("../../../deploy/base/mutatingwebhookconfiguration.yaml");
        let manifest: Value = serde_saphyr::from_str(manifest).unwrap();
        let shipped: Value = serde_json::from_str(SHIPPED).unwrap();
        assert_eq!(shipped, manifest, "shipped.json must be:\n{manifest:#}");
    }
}
