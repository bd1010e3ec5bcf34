//! The webhook's rules as objects that an API server applies itself, without a call to the webhook:
//! MutatingAdmissionPolicies with their bindings, served from Kubernetes 1.36 on. Rules that need
//! the cluster's state are left out. The rest is rendered from `policies/*.yaml` with the names
//! that the webhook's own rules use, and a test holds both to the same results on a real API
//! server.

mod parameters;
mod template;

pub use self::template::TemplateError;

use crate::mutate::service::Settings;
use fastrak_api::names;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use template::Parameters;

const CLAIMS: &str = include_str!("policies/claims.yaml");
const SERVICES: &str = include_str!("policies/services.yaml");

/// The flags of `render`.
#[derive(Clone, Debug, clap::Args)]
pub struct RenderArgs {
    /// Form of the rules.
    #[arg(long = "as", value_enum, value_name = "FORM")]
    pub form: Form,
    /// A class whose claims are fastrak's; may be repeated. Policies cannot look at StorageClasses.
    #[arg(long = "class", value_name = "NAME", default_values = [names::CLASS_DEFAULT, names::CLASS_RETAIN])]
    pub classes: Vec<String>,
}

/// A form of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// MutatingAdmissionPolicies and their bindings.
    MutatingAdmissionPolicy,
}

/// A policy with its binding.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The policy.
    pub policy: MutatingAdmissionPolicy,
    /// The binding that puts it in force for every object that it matches.
    pub binding: MutatingAdmissionPolicyBinding,
}

/// Renders the policies: for claims of these classes, and for Services.
pub fn policies(
    classes: &[String],
    settings: Settings,
    namespace: &str,
) -> Result<Vec<Policy>, TemplateError> {
    Ok(vec![
        policy(CLAIMS, &parameters::claims(classes, namespace))?,
        policy(SERVICES, &parameters::services(settings, namespace))?,
    ])
}

fn policy(template: &str, parameters: &Parameters) -> Result<Policy, TemplateError> {
    let documents = <[Value; 2]>::try_from(template::render(template, parameters)?);
    let [policy, binding] = documents.map_err(|_| TemplateError::Object(None))?;
    Ok(Policy { policy: object(policy)?, binding: object(binding)? })
}

fn object<T: DeserializeOwned>(document: Value) -> Result<T, TemplateError> {
    serde_json::from_value(document).map_err(|error| TemplateError::Object(Some(error)))
}

/// Writes the objects as YAML, one document each, for `kubectl apply`.
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

/// The comment above the objects.
const HEAD: &str = "\
# Written by: fastrak-webhook render --as mutating-admission-policy
# The rules of fastrak's webhook that an API server can apply by itself; see docs/policies.md.
";

#[cfg(test)]
mod tests;
