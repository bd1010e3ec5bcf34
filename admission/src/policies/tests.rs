//! What an API server makes of the policies is asked of a real one, in the tests of the whole product.

use super::*;
use fastrak_api::balancer::Mode;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};

const SHIPPED: &str = include_str!("../../../deploy/policies/policies.yaml");
const REGISTRATION: &str = include_str!("../../../deploy/base/mutatingwebhookconfiguration.yaml");

const SETTINGS: Settings =
    Settings { balancer: Mode::Inlets, alternative: Mode::None, dry_run: false };

fn by_default() -> Vec<Policy> {
    let classes = [names::CLASS_DEFAULT, names::CLASS_RETAIN].map(str::to_owned);
    policies(&classes, SETTINGS, names::NAMESPACE)
}

fn spec(policy: &Policy) -> &MutatingAdmissionPolicySpec {
    policy.policy.spec.as_ref().unwrap()
}

/// Every expression of a policy.
fn expressions(policy: &Policy) -> Vec<String> {
    let spec = spec(policy).clone();
    let conditions = spec.match_conditions.unwrap().into_iter().map(|one| one.expression);
    let variables = spec.variables.unwrap().into_iter().map(|one| one.expression);
    let mutations = spec.mutations.unwrap().into_iter();
    let mutations = mutations.map(|one| one.json_patch.unwrap().expression.unwrap());
    conditions.chain(variables).chain(mutations).collect()
}

fn hook(name: &str) -> MutatingWebhook {
    let registration: MutatingWebhookConfiguration = serde_saphyr::from_str(REGISTRATION).unwrap();
    let mut hooks = registration.webhooks.unwrap().into_iter();
    hooks.find(|hook| hook.name == name).unwrap()
}

#[test]
fn what_is_shipped_is_what_is_rendered() {
    let rendered = yaml(&by_default()).unwrap();
    assert!(rendered == SHIPPED, "write deploy/policies/policies.yaml anew: {rendered}");
}

#[test]
fn what_is_rendered_reads_back_as_the_same_objects() {
    let rendered = yaml(&by_default()).unwrap();
    let read: Vec<serde_json::Value> = serde_saphyr::from_multiple(&rendered).unwrap();
    let objects = by_default().into_iter().flat_map(|Policy { policy, binding }| {
        [serde_json::to_value(policy).unwrap(), serde_json::to_value(binding).unwrap()]
    });
    assert_eq!(read, objects.collect::<Vec<_>>());
}

#[test]
fn the_same_objects_are_looked_at_as_the_webhook_is_shown() {
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    for policy in by_default() {
        let name = policy.policy.metadata.name.clone().unwrap();
        let (spec, hook) = (spec(&policy), hook(&name));
        let constraints = spec.match_constraints.as_ref().unwrap();
        assert_eq!(constraints.namespace_selector, hook.namespace_selector, "{name}");
        assert_eq!(constraints.object_selector, hook.object_selector, "{name}");
        assert_eq!(constraints.match_policy, hook.match_policy, "{name}");
        assert_eq!(spec.failure_policy, hook.failure_policy, "{name}");
        assert_eq!(spec.reinvocation_policy, hook.reinvocation_policy, "{name}");
        let (rule, shown) =
            (&constraints.resource_rules.as_ref().unwrap()[0], &hook.rules.unwrap()[0]);
        assert_eq!(rule.resources, shown.resources, "{name}");
        assert_eq!(rule.operations, shown.operations, "{name}");

        let ours = spec.match_conditions.as_ref().unwrap();
        for condition in hook.match_conditions.unwrap() {
            // The policy asks of the class what the webhook looks up.
            if condition.name == "class-not-refused" {
                continue;
            }
            let same = ours.iter().find(|one| one.name == condition.name);
            let same = same.unwrap_or_else(|| panic!("{name} has no {}", condition.name));
            assert_eq!(squeezed(&same.expression), squeezed(&condition.expression), "{name}");
        }
    }
}

#[test]
fn no_name_is_left_open_in_an_expression() {
    for policy in by_default() {
        for text in expressions(&policy) {
            let open = text.match_indices('$').any(|(at, _)| {
                text[at + 1..].starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            });
            assert!(!open, "{text}");
        }
    }
}

#[test]
fn classes_settings_and_namespace_are_those_that_were_asked_for() {
    let settings = Settings { balancer: Mode::None, ..SETTINGS };
    let rendered = policies(&["it's".to_owned()], settings, "mine");
    let [claims, services] = rendered.as_slice() else { panic!("{rendered:?}") };
    assert!(expressions(claims).iter().any(|text| text.contains(r"in ['it\'s']")));
    assert!(expressions(services).iter().any(|text| text.contains("orValue('none')")));
    let constraints = spec(claims).match_constraints.clone().unwrap();
    let left_alone = constraints.namespace_selector.unwrap().match_expressions.unwrap();
    assert_eq!(left_alone[0].values.as_ref().unwrap()[2], "mine");
}
