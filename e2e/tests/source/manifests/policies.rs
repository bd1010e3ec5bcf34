//! What the accounts of the programs may do: RBAC rules and ValidatingAdmissionPolicies.

use super::*;

#[test]
fn no_rule_has_a_wildcard_and_single_objects_are_named() {
    for (file, object) in objects() {
        for rule in object["rules"].as_array().into_iter().flatten() {
            let all = [&rule["verbs"], &rule["resources"], &rule["apiGroups"]];
            let starred = all.iter().any(|list| list.as_array().unwrap().contains(&json!("*")));
            assert!(!starred, "{file}: {rule}");
            // Rights to a single object are limited to its name.
            // The Leases of addresses are all objects of their namespace.
            let tied = ["secrets", "mutatingwebhookconfigurations", "leases"];
            if object["metadata"]["namespace"] == names::ADDRESS_NAMESPACE {
                continue;
            }
            let named = rule["resources"]
                .as_array()
                .unwrap()
                .iter()
                .any(|r| tied.contains(&r.as_str().unwrap()));
            let creates = rule["verbs"] == json!(["create"]);
            assert!(!named || creates || rule["resourceNames"].is_array(), "{file}: {rule}");
        }
    }
}

/// Returns the list in a variable of a policy.
fn variable(policy: &str, name: &str) -> BTreeSet<String> {
    let policies: Vec<ValidatingAdmissionPolicy> = all("ValidatingAdmissionPolicy");
    let found = policies.into_iter().find(|known| known.metadata.name.as_deref() == Some(policy));
    let variables = found.unwrap().spec.unwrap().variables.unwrap();
    let found = variables.into_iter().find(|variable| variable.name == name).unwrap();
    let texts: Vec<String> = serde_saphyr::from_str(&found.expression).unwrap();
    texts.into_iter().collect()
}

#[test]
fn the_policies_of_the_webhook_name_the_fields_that_it_declares() {
    let (claims, services) = (names::WEBHOOK_CLAIMS_POLICY, names::WEBHOOK_SERVICES_POLICY);
    let mut annotations = variable(claims, "annotationKeys");
    annotations.extend(variable(services, "annotationKeys"));
    let declared = |pick: fn(&Field) -> Option<&'static str>| {
        // The answer to a probe is never stored.
        let stored = DECLARED.iter().filter(|field| **field != PROBE);
        stored.filter_map(pick).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let annotation = |field: &Field| match field {
        Field::Annotation(key) => Some(*key),
        Field::Label(_) | Field::ClassName | Field::BalancerClass => None,
    };
    let label = |field: &Field| match field {
        Field::Label(key) => Some(*key),
        Field::Annotation(_) | Field::ClassName | Field::BalancerClass => None,
    };
    assert_eq!(annotations, declared(annotation));
    assert_eq!(variable(claims, "labelKeys"), declared(label));
}

#[test]
fn the_policy_of_volumes_names_the_default_pool_of_the_agent() {
    let mounts = only_container(&agent_pod()).volume_mounts.clone().unwrap();
    let pools: BTreeSet<_> = mounts
        .into_iter()
        .filter(|mount| mount.read_only != Some(true))
        .map(|mount| mount.mount_path)
        .collect();
    assert_eq!(variable(names::AGENT_VOLUMES_POLICY, "pools"), pools);
}

#[test]
fn every_policy_denies_with_a_403_and_applies_to_one_account() {
    let policies: Vec<ValidatingAdmissionPolicy> = all("ValidatingAdmissionPolicy");
    for policy in policies {
        let (name, spec) = (policy.metadata.name.unwrap(), policy.spec.unwrap());
        assert_eq!(spec.failure_policy.as_deref(), Some("Fail"), "{name}");
        // A missing parameter would refuse the requests of all users.
        assert!(spec.param_kind.is_none(), "{name}");
        for validation in spec.validations.unwrap() {
            assert_eq!(validation.reason.as_deref(), Some("Forbidden"), "{name}");
        }
        let conditions = spec.match_conditions.unwrap();
        let accounts = [names::AGENT, names::SPEAKER, names::WEBHOOK];
        let account = accounts.into_iter().find(|account| name.starts_with(account)).unwrap();
        let user = format!("system:serviceaccount:{}:{account}", names::NAMESPACE);
        let expected = format!("request.userInfo.username == '{user}'");
        // deploy/namespace changes the first one.
        assert_eq!(conditions[0].expression, expected, "{name}");
        let more: Vec<_> = conditions[1..].iter().map(|one| one.expression.as_str()).collect();
        let heartbeat = "object.metadata.name.startsWith('node.')";
        let frontend = "object.metadata.name.matches('[.](tcp|udp|sctp)[.][0-9]+$')";
        let not = |condition: &str| format!("!{condition}");
        // Each Lease of a speaker has exactly one policy.
        match name.as_str() {
            names::SPEAKER_HEARTBEATS_POLICY => assert_eq!(more, [heartbeat]),
            names::SPEAKER_FRONTENDS_POLICY => {
                assert_eq!(more, [&not(heartbeat), frontend]);
            }
            names::SPEAKER_ADDRESSES_POLICY => assert_eq!(more, [not(heartbeat), not(frontend)]),
            _ => assert!(more.is_empty(), "{name}"),
        }
    }
}

#[test]
fn the_names_of_heartbeats_are_those_that_the_policy_expects() {
    let name = |node: &str| heartbeat_name(&NodeName::parse(node).unwrap());
    assert_eq!(name("node-a"), "node.node-a");
    let long = ["x".repeat(60), "example".to_owned()].join(".");
    let hash = name(&long).split_off(format!("node.{}-", &long[..46]).len());
    assert_eq!(hash.len(), 16);
    assert!(hash.bytes().all(|digit| digit.is_ascii_hexdigit() && !digit.is_ascii_uppercase()));
    assert!(name(&long).starts_with(&format!("node.{}-", &long[..46])));
}
