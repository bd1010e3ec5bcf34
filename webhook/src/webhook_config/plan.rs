//! What of our registration is not as it should be. Pure. What the API server fills in where nothing
//! is written counts as written, and the order of what has none does not count.

use http::Uri;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, RuleWithOperations, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeSet;
use std::fmt;

/// As what we are installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The namespace that we run in.
    pub namespace: String,
    /// The Service by which the API server reaches us.
    pub service: String,
    /// The names that our certificate is for: the API server may know us by any of them.
    pub names: Vec<String>,
}

macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal;)+) => {
        /// A part of the registration.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Field {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Field {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The part as metrics show it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

fields! {
    /// A webhook of ours, which is missing, or one in our configuration that is not ours.
    Webhook = "webhook";
    /// Where it leads.
    ClientConfig = "client_config";
    /// Which writes are shown.
    Rules = "rules";
    /// Of which namespaces.
    NamespaceSelector = "namespace_selector";
    /// Of which objects.
    ObjectSelector = "object_selector";
    /// On which conditions.
    MatchConditions = "match_conditions";
    /// What follows when nobody answers.
    FailurePolicy = "failure_policy";
    /// After how long.
    Timeout = "timeout_seconds";
    /// Whether other versions of an object count.
    MatchPolicy = "match_policy";
    /// Whether we are asked again after others.
    ReinvocationPolicy = "reinvocation_policy";
    /// Whether we are asked about dry runs.
    SideEffects = "side_effects";
    /// The versions of reviews.
    Versions = "admission_review_versions";
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drift {
    /// The webhook.
    pub hook: String,
    /// The part of it.
    pub field: Field,
    /// What is there.
    pub found: String,
    /// What should be.
    pub wanted: String,
}

/// What of the webhooks that were found is not as in those that should be.
#[must_use]
pub fn drift(
    wanted: &[MutatingWebhook],
    found: &[MutatingWebhook],
    us: &Installation,
) -> Vec<Drift> {
    let missing = wanted.iter().filter(|hook| find(found, &hook.name).is_none());
    let missing = missing.map(|hook| webhook(hook, "missing", "there"));
    let strange = found.iter().filter(|hook| find(wanted, &hook.name).is_none());
    let strange = strange.map(|hook| webhook(hook, "there", "not there"));
    let pairs = wanted.iter().filter_map(|hook| Some((hook, find(found, &hook.name)?)));
    let differing = pairs.flat_map(|(wanted, found)| differences(wanted, found, us));
    missing.chain(strange).chain(differing).collect()
}

fn find<'a>(hooks: &'a [MutatingWebhook], name: &str) -> Option<&'a MutatingWebhook> {
    hooks.iter().find(|hook| hook.name == name)
}

fn webhook(hook: &MutatingWebhook, found: &str, wanted: &str) -> Drift {
    let (found, wanted) = (found.to_owned(), wanted.to_owned());
    Drift { hook: hook.name.clone(), field: Field::Webhook, found, wanted }
}

fn differences(wanted: &MutatingWebhook, found: &MutatingWebhook, us: &Installation) -> Vec<Drift> {
    let both = parts(wanted).into_iter().zip(parts(found));
    let differing = both.filter(|((field, wanted_text), (_, found_text))| match field {
        Field::ClientConfig if leads_here(&wanted.client_config, &found.client_config, us) => false,
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

/// Returns whether an address leads to us as well as our Service does: a name of ours, and the
/// path.
fn leads_here(
    wanted: &WebhookClientConfig,
    found: &WebhookClientConfig,
    us: &Installation,
) -> bool {
    let path = wanted.service.as_ref().and_then(|service| service.path.as_deref());
    let url = found.url.as_deref().and_then(|url| url.parse::<Uri>().ok());
    url.is_some_and(|url| {
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        url.scheme_str() == Some("https")
            && us.names.iter().any(|name| name == host)
            && path == Some(url.path())
    })
}

/// Each part of a webhook in words that are the same for what means the same.
fn parts(hook: &MutatingWebhook) -> [(Field, String); 11] {
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

/// Texts in an order of their own.
fn list(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("; ")
}

fn sorted(texts: Option<&Vec<String>>) -> String {
    texts
        .into_iter()
        .flatten()
        .cloned()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
        .join(",")
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

/// Blanks between the words of an expression mean nothing, and tools fold them as they like.
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

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hook, field, found, wanted } = self;
        write!(f, "{hook}: {} is {found:?} and should be {wanted:?}", field.as_str())
    }
}

#[cfg(test)]
mod tests;
