use super::*;
use crate::webhook_config::shipped;
use fastrak_api::names;
use serde_json::{Value, json};

fn installation() -> Installation {
    Installation {
        namespace: names::NAMESPACE.to_owned(),
        service: names::WEBHOOK.to_owned(),
        names: vec!["127.0.0.1".to_owned(), "hook.example".to_owned()],
    }
}

fn wanted() -> Vec<MutatingWebhook> {
    shipped::hooks(&installation()).unwrap()
}

/// The shipped webhooks with one thing changed in the first of them.
fn with(change: impl Fn(&mut Value)) -> Vec<MutatingWebhook> {
    let mut hooks = json!(wanted());
    change(&mut hooks[0]);
    serde_json::from_value(hooks).unwrap()
}

fn fields(found: &[MutatingWebhook]) -> Vec<Field> {
    drift(&wanted(), found, &installation()).into_iter().map(|drift| drift.field).collect()
}

#[test]
fn the_shipped_configuration_has_three_webhooks_and_no_difference() {
    let names: Vec<_> = wanted().into_iter().map(|hook| hook.name).collect();
    assert_eq!(names, [names::CLAIMS_HOOK, names::SERVICES_HOOK, names::PROBE_HOOK]);
    assert_eq!(drift(&wanted(), &wanted(), &installation()), []);
}

#[test]
fn defaults_of_the_api_server_and_the_order_of_sets_are_no_difference() {
    let found = with(|hook| {
        hook["clientConfig"]["caBundle"] = json!("Q0E=");
        hook["rules"][0]["operations"] = json!(["UPDATE", "CREATE"]);
        let conditions = hook["matchConditions"].as_array_mut().unwrap();
        conditions.reverse();
        for condition in conditions {
            let text = condition["expression"].as_str().unwrap().replace(' ', "\n  ");
            condition["expression"] = json!(text);
        }
        let expressions = hook["namespaceSelector"]["matchExpressions"].as_array_mut().unwrap();
        expressions.reverse();
    });
    assert_eq!(fields(&found), []);
    // The default port.
    let found = with(|hook| {
        hook["clientConfig"]["service"].as_object_mut().unwrap().remove("port");
    });
    assert_eq!(fields(&found), []);
}

#[test]
fn every_different_field_is_reported() {
    type Change = fn(&mut Value);
    let narrower = json!({"key": "team", "operator": "In", "values": ["a"]});
    let table: [(Field, Change); 12] = [
        (Field::Webhook, |hook| hook["name"] = json!("else.example.com")),
        (Field::ClientConfig, |hook| {
            hook["clientConfig"]["service"]["name"] = json!("other");
        }),
        (Field::ClientConfig, |hook| {
            hook["clientConfig"] = json!({"url": "https://hook.example/services"});
        }),
        (Field::Rules, |hook| hook["rules"][0]["operations"] = json!(["CREATE"])),
        (Field::MatchConditions, |hook| {
            let conditions = hook["matchConditions"].as_array_mut().unwrap();
            conditions.push(json!({"name": "never", "expression": "false"}));
        }),
        (Field::FailurePolicy, |hook| hook["failurePolicy"] = json!("Fail")),
        (Field::Timeout, |hook| hook["timeoutSeconds"] = json!(30)),
        (Field::MatchPolicy, |hook| hook["matchPolicy"] = json!("Exact")),
        // Without it, the default of the API server differs from the shipped value.
        (Field::ReinvocationPolicy, |hook| {
            hook.as_object_mut().unwrap().remove("reinvocationPolicy");
        }),
        (Field::SideEffects, |hook| hook["sideEffects"] = json!("NoneOnDryRun")),
        (Field::Versions, |hook| hook["admissionReviewVersions"] = json!(["v1beta1"])),
        (Field::ObjectSelector, |hook| hook["objectSelector"] = json!({})),
    ];
    for (field, change) in table {
        let found = fields(&with(change));
        assert!(!found.is_empty() && found.iter().all(|found| *found == field), "{found:?}");
    }
    let found = with(|hook| {
        let all = hook["namespaceSelector"]["matchExpressions"].as_array_mut().unwrap();
        all.push(narrower.clone());
    });
    assert_eq!(fields(&found), [Field::NamespaceSelector]);
    let Drift { hook, found, .. } = &drift(&wanted(), &found, &installation())[0];
    assert!(hook.contains("claims") && found.contains("team In [a]"), "{hook}: {found}");
}

#[test]
fn without_a_configuration_every_webhook_is_missing() {
    assert_eq!(fields(&[]), [Field::Webhook; 3]);
}

#[test]
fn a_url_with_one_of_our_names_replaces_the_service() {
    for (url, fine) in [
        ("https://127.0.0.1:8443/claims", true),
        ("https://hook.example/claims", true),
        ("https://other.example/claims", false),
        ("http://hook.example/claims", false),
        ("https://hook.example/", false),
    ] {
        let found = with(|hook| hook["clientConfig"] = json!({"url": url}));
        assert_eq!(fields(&found).is_empty(), fine, "{url}");
    }
}

#[test]
fn another_installation_uses_its_own_names() {
    let installation = Installation {
        namespace: "mine".to_owned(),
        service: "hook".to_owned(),
        names: Vec::new(),
    };
    let elsewhere = shipped::hooks(&installation).unwrap();
    assert_eq!(drift(&elsewhere, &elsewhere, &installation), []);
    let text = serde_json::to_string(&elsewhere).unwrap();
    assert!(!text.contains(names::NAMESPACE), "{text}");
    let differing: BTreeSet<_> =
        drift(&elsewhere, &wanted(), &installation).into_iter().map(|drift| drift.field).collect();
    let expected = [Field::ClientConfig, Field::NamespaceSelector, Field::MatchConditions];
    assert_eq!(differing, BTreeSet::from(expected));
}
