//! The webhook's rules as objects that an API server carries out itself, with no webhook on its
//! path: MutatingAdmissionPolicies with their bindings, served from Kubernetes 1.36 on. What it takes
//! a look at the cluster to decide is left out; the rest is written from the same names as the
//! webhook's own rules, and a test holds both to the same results on a real API server.
//!
//! It decides about no object, and asks no API server what it serves.

mod cel;
mod claims;
mod services;

use crate::mutate::service::Settings;
use fastrak_api::names::{self, kubernetes};
use k8s_openapi::api::admissionregistration::v1::{
    JSONPatch, MatchCondition, MatchResources, MutatingAdmissionPolicy,
    MutatingAdmissionPolicyBinding, MutatingAdmissionPolicyBindingSpec,
    MutatingAdmissionPolicySpec, Mutation, NamedRuleWithOperations, Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, LabelSelectorRequirement, ObjectMeta,
};

/// What is to be rendered.
#[derive(Clone, Debug, clap::Args)]
pub struct RenderArgs {
    /// As what the rules are to be written.
    #[arg(long = "as", value_enum, value_name = "FORM")]
    pub form: Form,
    /// A class whose claims are fastrak's; may be repeated. Policies cannot look at StorageClasses.
    #[arg(long = "class", value_name = "NAME", default_values = [names::CLASS_DEFAULT, names::CLASS_RETAIN])]
    pub classes: Vec<String>,
}

/// As what the rules can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// MutatingAdmissionPolicies and their bindings.
    MutatingAdmissionPolicy,
}

/// A policy, with what puts it in force.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The policy.
    pub policy: MutatingAdmissionPolicy,
    /// What puts it in force, everywhere that it looks at.
    pub binding: MutatingAdmissionPolicyBinding,
}

/// What makes one policy differ from another.
struct Rules {
    name: &'static str,
    resource: &'static str,
    conditions: Vec<(&'static str, String)>,
    variables: Vec<(&'static str, String)>,
    mutation: String,
}

/// The policies: of claims of these classes, and of Services.
#[must_use]
pub fn policies(classes: &[String], settings: Settings, namespace: &str) -> Vec<Policy> {
    let claims = Rules {
        name: names::CLAIMS_HOOK,
        resource: "persistentvolumeclaims",
        conditions: claims::conditions(classes),
        variables: claims::variables(classes),
        mutation: claims::mutation(),
    };
    let services = Rules {
        name: names::SERVICES_HOOK,
        resource: "services",
        conditions: services::conditions(settings),
        variables: services::variables(settings),
        mutation: services::mutation(),
    };
    [claims, services].map(|rules| policy(rules, namespace)).into()
}

fn policy(rules: Rules, namespace: &str) -> Policy {
    let metadata = ObjectMeta { name: Some(rules.name.to_owned()), ..ObjectMeta::default() };
    let condition =
        |(name, expression): (&str, String)| MatchCondition { name: name.to_owned(), expression };
    let variable =
        |(name, expression): (&str, String)| Variable { name: name.to_owned(), expression };
    let mutation = Mutation {
        patch_type: "JSONPatch".to_owned(),
        json_patch: Some(JSONPatch { expression: Some(rules.mutation) }),
        ..Mutation::default()
    };
    let conditions = scope().into_iter().chain(rules.conditions);
    let spec = MutatingAdmissionPolicySpec {
        // A claim or Service is never refused because a rule of ours could not be evaluated.
        failure_policy: Some("Ignore".to_owned()),
        reinvocation_policy: Some("IfNeeded".to_owned()),
        match_constraints: Some(constraints(rules.resource, namespace)),
        match_conditions: Some(conditions.map(condition).collect()),
        variables: Some(rules.variables.into_iter().map(variable).collect()),
        mutations: Some(vec![mutation]),
        ..MutatingAdmissionPolicySpec::default()
    };
    let binding = MutatingAdmissionPolicyBindingSpec {
        policy_name: Some(rules.name.to_owned()),
        ..MutatingAdmissionPolicyBindingSpec::default()
    };
    Policy {
        policy: MutatingAdmissionPolicy { metadata: metadata.clone(), spec: Some(spec) },
        binding: MutatingAdmissionPolicyBinding { metadata, spec: Some(binding) },
    }
}

/// What is never looked at. The selectors look at an object before and after an update, and let it
/// through where either is let through; so a label that has just come is asked for again.
fn scope() -> [(&'static str, String); 2] {
    let opted_out = cel::fill(
        "object.metadata.?labels[?$admission].orValue('') != $disabled",
        &[
            ("admission", cel::text(names::ADMISSION)),
            ("disabled", cel::text(names::ADMISSION_DISABLED)),
        ],
    );
    [
        ("not-deleted", "!has(object.metadata.deletionTimestamp)".to_owned()),
        ("not-opted-out", opted_out),
    ]
}

fn constraints(resource: &str, namespace: &str) -> MatchResources {
    let list = |values: &[&str]| Some(values.iter().map(|&value| value.to_owned()).collect());
    let system: Vec<_> = kubernetes::SYSTEM_NAMESPACES.into_iter().chain([namespace]).collect();
    let opted_out = none_of(names::ADMISSION, &[names::ADMISSION_DISABLED]);
    MatchResources {
        resource_rules: Some(vec![NamedRuleWithOperations {
            api_groups: list(&[""]),
            api_versions: list(&["v1"]),
            operations: list(&["CREATE", "UPDATE"]),
            resources: list(&[resource]),
            scope: Some("Namespaced".to_owned()),
            ..NamedRuleWithOperations::default()
        }]),
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: Some(selector(vec![
            none_of(kubernetes::NAMESPACE_NAME, &system),
            opted_out.clone(),
        ])),
        object_selector: Some(selector(vec![opted_out])),
        ..MatchResources::default()
    }
}

fn selector(requirements: Vec<LabelSelectorRequirement>) -> LabelSelector {
    LabelSelector { match_expressions: Some(requirements), match_labels: None }
}

fn none_of(key: &str, values: &[&str]) -> LabelSelectorRequirement {
    LabelSelectorRequirement {
        key: key.to_owned(),
        operator: "NotIn".to_owned(),
        values: Some(values.iter().map(|&value| value.to_owned()).collect()),
    }
}

/// The objects as YAML, one document each, to be applied as they are.
pub fn yaml(policies: &[Policy]) -> Result<String, serde_saphyr::ser::Error> {
    let mut text = String::from(HEAD);
    for Policy { policy, binding } in policies {
        for document in [serde_saphyr::to_string(policy)?, serde_saphyr::to_string(binding)?] {
            text.push_str("---\n");
            text.push_str(&document);
        }
    }
    Ok(text)
}

/// What stands above the objects.
const HEAD: &str = "\
# Written by: fastrak-webhook render --as mutating-admission-policy
# What fastrak's webhook does, as far as an API server can do it by itself; see docs/policies.md.
";

#[cfg(test)]
mod tests;
