//! Compares our webhook configuration with the shipped one. Pure. Defaults of the API server count
//! as written, and the order of sets does not matter.

use http::Uri;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, RuleWithOperations, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeSet;

/// The names of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    pub namespace: String,
    /// The Service by which the API server reaches the webhook.
    pub service: String,
    /// The names of the certificate: the API server may use any of them.
    pub names: Vec<String>,
}

fastrak_api::text_enum! {
    /// A field of a webhook in the webhook configuration, as a label of metrics.
    pub enum Field {
        /// The webhook itself: one of ours is missing, or one is not ours.
        Webhook = "webhook",
        /// The Service or URL.
        ClientConfig = "client_config",
        Rules = "rules",
        NamespaceSelector = "namespace_selector",
        ObjectSelector = "object_selector",
        MatchConditions = "match_conditions",
        FailurePolicy = "failure_policy",
        Timeout = "timeout_seconds",
        MatchPolicy = "match_policy",
        ReinvocationPolicy = "reinvocation_policy",
        SideEffects = "side_effects",
        /// The versions of reviews.
        Versions = "admission_review_versions",
    }
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drift {
    pub hook: String,
    pub field: Field,
    pub found: String,
    pub wanted: String,
}

/// Returns the differences between the shipped webhooks and the current ones.
#[must_use]
pub(crate) fn drift(
    wanted: &[MutatingWebhook],
    found: &[MutatingWebhook],
    installation: &Installation,
) -> Vec<Drift> {
    let missing = wanted.iter().filter(|hook| find(found, &hook.name).is_none());
    let missing = missing.map(|hook| webhook(hook, "missing", "there"));
    let strange = found.iter().filter(|hook| find(wanted, &hook.name).is_none());
    let strange = strange.map(|hook| webhook(hook, "there", "not there"));
    let pairs = wanted.iter().filter_map(|hook| Some((hook, find(found, &hook.name)?)));
    let differing = pairs.flat_map(|(wanted, found)| differences(wanted, found, installation));
    missing.chain(strange).chain(differing).collect()
}

fn find<'a>(hooks: &'a [MutatingWebhook], name: &str) -> Option<&'a MutatingWebhook> {
    hooks.iter().find(|hook| hook.name == name)
}

fn webhook(hook: &MutatingWebhook, found: &str, wanted: &str) -> Drift {
    let (found, wanted) = (found.to_owned(), wanted.to_owned());
    Drift { hook: hook.name.clone(), field: Field::Webhook, found, wanted }
}

fn differences(
    wanted: &MutatingWebhook,
    found: &MutatingWebhook,
    installation: &Installation,
) -> Vec<Drift> {
    let both = fields(wanted).into_iter().zip(fields(found));
    let differing = both.filter(|((field, wanted_text), (_, found_text))| match field {
        Field::ClientConfig => {
            let is_ours = is_our_url(&wanted.client_config, &found.client_config, installation);
            !is_ours && wanted_text != found_text
        }
        _ => wanted_text != found_text,
    });
    let drift = differing.map(|((field, wanted), (_, found_text))| Drift {
        hook: found.name.clone(),
        field,
        found: found_text,
        wanted,
    });
    drift.collect()
}

/// Returns whether a URL with one of our names and the same path replaces our Service.
fn is_our_url(
    wanted: &WebhookClientConfig,
    found: &WebhookClientConfig,
    installation: &Installation,
) -> bool {
    let path = wanted.service.as_ref().and_then(|service| service.path.as_deref());
    let url = found.url.as_deref().and_then(|url| url.parse::<Uri>().ok());
    url.is_some_and(|url| {
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        url.scheme_str() == Some("https")
            && installation.names.iter().any(|name| name == host)
            && path == Some(url.path())
    })
}

/// Returns each field of a webhook as a normalised text.
fn fields(hook: &MutatingWebhook) -> [(Field, String); 11] {
    let or = |value: &Option<String>, default: &str| value.as_deref().unwrap_or(default).to_owned();
    [
        (Field::ClientConfig, client_config(&hook.client_config)),
        (Field::Rules, list(hook.rules.iter().flatten().map(rule))),
        (Field::NamespaceSelector, selector(hook.namespace_selector.as_ref())),
        (Field::ObjectSelector, selector(hook.object_selector.as_ref())),
        (Field::MatchConditions, list(hook.match_conditions.iter().flatten().map(condition))),
        (Field::FailurePolicy, or(&hook.failure_policy, "Fail")),
        (Field::Timeout, hook.timeout_seconds.unwrap_or(10).to_string()),
        (Field::MatchPolicy, or(&hook.match_policy, "Equivalent")),
        (Field::ReinvocationPolicy, or(&hook.reinvocation_policy, "Never")),
        (Field::SideEffects, hook.side_effects.clone()),
        (Field::Versions, hook.admission_review_versions.join(" ")),
    ]
}

/// Returns sorted texts without duplicates.
fn list(texts: impl Iterator<Item = String>) -> String {
    joined(texts, "; ")
}

fn sorted(texts: Option<&Vec<String>>) -> String {
    joined(texts.into_iter().flatten().cloned(), ",")
}

fn joined(texts: impl Iterator<Item = String>, separator: &str) -> String {
    let texts: BTreeSet<_> = texts.collect();
    texts.into_iter().collect::<Vec<_>>().join(separator)
}

fn client_config(config: &WebhookClientConfig) -> String {
    let service = config.service.as_ref().map(|service| {
        let path = service.path.as_deref().unwrap_or("/");
        format!(
            "service {}/{}:{}{path}",
            service.namespace,
            service.name,
            service.port.unwrap_or(443)
        )
    });
    let url = config.url.as_ref().map(|url| format!("url {url}"));
    service.or(url).unwrap_or_default()
}

fn rule(rule: &RuleWithOperations) -> String {
    let parts = [&rule.operations, &rule.api_groups, &rule.api_versions, &rule.resources];
    let parts = parts.map(|part| format!("[{}]", sorted(part.as_ref())));
    format!("{} {}", parts.join(" "), rule.scope.as_deref().unwrap_or("*"))
}

/// White space in an expression has no meaning, and tools wrap it.
fn condition(condition: &MatchCondition) -> String {
    let words: Vec<_> = condition.expression.split_whitespace().collect();
    format!("{}: {}", condition.name, words.join(" "))
}

fn selector(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return String::new() };
    let labels = selector.match_labels.iter().flatten();
    let labels = labels.map(|(key, value)| format!("{key} In [{value}]"));
    let expressions = selector.match_expressions.iter().flatten();
    let expressions = expressions.map(|expression| {
        let values = sorted(expression.values.as_ref());
        format!("{} {} [{values}]", expression.key, expression.operator)
    });
    list(labels.chain(expressions))
}

#[cfg(test)]
mod tests;
