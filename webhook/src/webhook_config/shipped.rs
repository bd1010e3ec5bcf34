//! The registration as it is shipped: what the manifests say, as JSON, which a test holds equal to
//! them. A parser of YAML is larger than all of the webhook's own code, and every replica would load
//! it for this one file. It is read and never applied.

use super::plan::Installation;
use fastrak_api::names;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};

/// The registration.
const SHIPPED: &str = include_str!("shipped.json");

/// Why the shipped registration cannot be had. It is a defect of ours.
#[derive(Debug, thiserror::Error)]
#[error("the registration that is built in cannot be read")]
pub struct ShippedError(#[source] serde_json::Error);

/// The webhooks that there should be, for a webhook that is installed as `us`.
pub fn hooks(us: &Installation) -> Result<Vec<MutatingWebhook>, ShippedError> {
    let configuration: MutatingWebhookConfiguration =
        serde_json::from_str(SHIPPED).map_err(ShippedError)?;
    let mut hooks = configuration.webhooks.unwrap_or_default();
    hooks.iter_mut().for_each(|hook| install(hook, us));
    Ok(hooks)
}

/// Puts our own names in place of the usual ones, as somebody who installs fastrak elsewhere has to.
fn install(hook: &mut MutatingWebhook, us: &Installation) {
    if let Some(service) = &mut hook.client_config.service {
        service.namespace.clone_from(&us.namespace);
        service.name.clone_from(&us.service);
    }
    let selector = hook.namespace_selector.iter_mut();
    let expressions = selector.flat_map(|selector| selector.match_expressions.iter_mut().flatten());
    for value in expressions.flat_map(|expression| expression.values.iter_mut().flatten()) {
        if value == names::NAMESPACE {
            value.clone_from(&us.namespace);
        }
    }
    let account = |namespace: &str| format!(":{namespace}:{}'", names::WEBHOOK);
    for condition in hook.match_conditions.iter_mut().flatten() {
        let (usual, ours) = (account(names::NAMESPACE), account(&us.namespace));
        condition.expression = condition.expression.replace(&usual, &ours);
    }
}

#[cfg(test)]
mod tests {
    use super::SHIPPED;
    use serde_json::Value;

    #[test]
    fn what_is_built_in_is_what_the_manifests_say() {
        let manifest = include_str!("../../../deploy/base/mutatingwebhookconfiguration.yaml");
        let manifest: Value = serde_saphyr::from_str(manifest).unwrap();
        let shipped: Value = serde_json::from_str(SHIPPED).unwrap();
        assert_eq!(shipped, manifest, "what is built in has to be:\n{manifest:#}");
    }
}
