//! The webhook configuration of deploy/base.

use super::*;

#[test]
fn the_webhook_configuration_names_the_service_and_has_no_ca_bundle() {
    let paths = [
        (names::CLAIMS_HOOK, names::CLAIMS_PATH),
        (names::SERVICES_HOOK, names::SERVICES_PATH),
        (names::PROBE_HOOK, names::CLAIMS_PATH),
    ];
    let configuration: MutatingWebhookConfiguration = one("MutatingWebhookConfiguration");
    assert_eq!(configuration.webhooks.unwrap().len(), paths.len());
    for (name, path) in paths {
        let config = hook(name).client_config;
        assert!(config.ca_bundle.is_none() && config.url.is_none(), "{name}");
        let service = config.service.unwrap();
        assert_eq!(
            (service.namespace.as_str(), service.name.as_str()),
            (names::NAMESPACE, names::WEBHOOK)
        );
        assert_eq!(service.path.as_deref(), Some(path));
        let served: Service = one("Service");
        let port = &served.spec.unwrap().ports.unwrap()[0];
        assert_eq!(service.port, Some(port.port), "{name}");
    }
}

#[test]
fn the_webhook_fails_open_within_two_seconds() {
    for (name, resource) in
        [(names::CLAIMS_HOOK, "persistentvolumeclaims"), (names::SERVICES_HOOK, "services")]
    {
        let hook = hook(name);
        assert_eq!(hook.failure_policy.as_deref(), Some("Ignore"), "{name}");
        assert!(hook.timeout_seconds.is_some_and(|seconds| seconds <= 2), "{name}");
        assert_eq!(hook.side_effects, "None", "{name}");
        assert_eq!(hook.match_policy.as_deref(), Some("Equivalent"), "{name}");
        assert_eq!(hook.reinvocation_policy.as_deref(), Some("IfNeeded"), "{name}");
        assert_eq!(hook.admission_review_versions, ["v1"], "{name}");
        let rules = hook.rules.unwrap();
        assert_eq!(rules.len(), 1, "{name}");
        assert_eq!(rules[0].resources.as_deref(), Some(&[resource.to_owned()][..]), "{name}");
        assert_eq!(rules[0].api_groups.as_deref(), Some(&[String::new()][..]), "{name}");
        let operations = rules[0].operations.as_ref().unwrap();
        assert_eq!(operations, &["CREATE".to_owned(), "UPDATE".to_owned()], "{name}");
    }
}

#[test]
fn only_the_probe_fails_closed_and_only_in_its_own_namespace() {
    let hook = hook(names::PROBE_HOOK);
    assert_eq!(hook.failure_policy.as_deref(), Some("Fail"));
    assert!(hook.timeout_seconds.is_some_and(|seconds| seconds <= 2));
    assert_eq!(hook.side_effects, "None");
    let labels = |selector: Option<LabelSelector>| {
        let selector = selector.unwrap();
        assert!(selector.match_expressions.is_none());
        selector.match_labels.unwrap()
    };
    let one = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let namespace = one("kubernetes.io/metadata.name", names::PROBE_NAMESPACE);
    assert_eq!(labels(hook.namespace_selector), namespace);
    assert_eq!(labels(hook.object_selector), one(names::PROBE, names::PROBE_REQUESTED));
    let rules = hook.rules.unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].operations.as_deref(), Some(&["CREATE".to_owned()][..]));
    assert_eq!(rules[0].resources.as_deref(), Some(&["persistentvolumeclaims".to_owned()][..]));
    let conditions = hook.match_conditions.unwrap();
    let account = format!("'system:serviceaccount:{}:{}'", names::NAMESPACE, names::WEBHOOK);
    assert!(conditions.iter().any(|c| c.expression.contains("request.dryRun")));
    assert!(conditions.iter().any(|c| c.expression.contains(&account)));

    // Only the webhook may create claims there.
    let role: Role = all("Role")
        .into_iter()
        .find(|role: &Role| role.metadata.namespace.as_deref() == Some(names::PROBE_NAMESPACE))
        .unwrap();
    let rules = role.rules.unwrap();
    assert_eq!((rules.len(), &rules[0].verbs), (1, &vec!["create".to_owned()]));
    assert_eq!(rules[0].resources.as_deref(), Some(&["persistentvolumeclaims".to_owned()][..]));
}

/// Returns the keys and values that a selector excludes.
fn excluded(selector: Option<LabelSelector>) -> BTreeMap<String, BTreeSet<String>> {
    let selector = selector.unwrap();
    assert!(selector.match_labels.is_none());
    let expressions = selector.match_expressions.unwrap().into_iter().map(|expression| {
        assert_eq!(expression.operator, "NotIn", "{}", expression.key);
        (expression.key, expression.values.unwrap().into_iter().collect())
    });
    expressions.collect()
}

#[test]
fn system_namespaces_and_objects_that_opt_out_are_excluded() {
    let opted_out =
        (names::ADMISSION.to_owned(), BTreeSet::from([names::ADMISSION_DISABLED.to_owned()]));
    let system = kubernetes::SYSTEM_NAMESPACES.into_iter().chain([names::NAMESPACE]);
    let system = ("kubernetes.io/metadata.name".to_owned(), system.map(str::to_owned).collect());
    for name in [names::CLAIMS_HOOK, names::SERVICES_HOOK] {
        let hook = hook(name);
        let namespaces = BTreeMap::from([opted_out.clone(), system.clone()]);
        assert_eq!(excluded(hook.namespace_selector), namespaces, "{name}");
        assert_eq!(excluded(hook.object_selector), BTreeMap::from([opted_out.clone()]), "{name}");
    }
}
