//! Tests of the rendering. The tests of the whole product apply the policies to a real API server.

use super::*;
use fastrak_api::balancer::Mode;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicySpec, MutatingWebhook, MutatingWebhookConfiguration,
};

const SHIPPED: &str = include_str!("../../../deploy/policies/policies.yaml");
const WEBHOOKS: &str = include_str!("../../../deploy/base/mutatingwebhookconfiguration.yaml");

const SETTINGS: Settings =
    Settings { balancer: Mode::Inlets, alternative: Mode::None, addresses: false, dry_run: false };

fn by_default() -> Vec<Policy> {
    let classes = [names::CLASS_DEFAULT, names::CLASS_RETAIN].map(str::to_owned);
    policies(&classes, SETTINGS, names::NAMESPACE).unwrap()
}

fn spec(policy: &Policy) -> &MutatingAdmissionPolicySpec {
    policy.policy.spec.as_ref().unwrap()
}

/// Returns every expression of a policy.
fn expressions(policy: &Policy) -> Vec<String> {
    let spec = spec(policy).clone();
    let conditions = spec.match_conditions.unwrap().into_iter().map(|one| one.expression);
    let variables = spec.variables.unwrap().into_iter().map(|one| one.expression);
    let mutations = spec.mutations.unwrap().into_iter();
    let mutations = mutations.map(|one| one.json_patch.unwrap().expression.unwrap());
    conditions.chain(variables).chain(mutations).collect()
}

fn hook(name: &str) -> MutatingWebhook {
    let webhooks: MutatingWebhookConfiguration = serde_saphyr::from_str(WEBHOOKS).unwrap();
    let mut hooks = webhooks.webhooks.unwrap().into_iter();
    hooks.find(|hook| hook.name == name).unwrap()
}

#[test]
fn the_shipped_policies_are_the_rendered_ones() {
    let rendered = yaml(&by_default()).unwrap();
    assert!(rendered == SHIPPED, "write this to deploy/policies/policies.yaml: {rendered}");
}

#[test]
fn rendered_yaml_reads_back_as_the_same_objects() {
    let rendered = yaml(&by_default()).unwrap();
    let read: Vec<serde_json::Value> = serde_saphyr::from_multiple(&rendered).unwrap();
    let objects = by_default().into_iter().flat_map(|Policy { policy, binding }| {
        [serde_json::to_value(policy).unwrap(), serde_json::to_value(binding).unwrap()]
    });
    assert_eq!(read, objects.collect::<Vec<_>>());
}

#[test]
fn policies_match_the_objects_that_the_webhook_gets() {
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
            // The policy compares names of classes; the webhook looks them up.
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
fn classes_settings_and_namespace_are_those_of_the_flags() {
    let settings = Settings { balancer: Mode::None, ..SETTINGS };
    let rendered = policies(&["it's".to_owned()], settings, "mine").unwrap();
    let [claims, services] = rendered.as_slice() else { panic!("{rendered:?}") };
    assert!(expressions(claims).iter().any(|text| text.contains(r"in ['it\'s']")));
    assert!(expressions(services).iter().any(|text| text.contains("orValue('none')")));
    let constraints = spec(claims).match_constraints.clone().unwrap();
    let left_alone = constraints.namespace_selector.unwrap().match_expressions.unwrap();
    assert_eq!(left_alone[0].values.as_ref().unwrap()[2], "mine");
}
