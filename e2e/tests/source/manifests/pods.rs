//! What the pods of the programs may do, and where they run.

use super::*;

#[test]
fn a_rollout_keeps_both_replicas_of_the_webhook() {
    let spec = one::<Deployment>("Deployment").spec;
    assert_eq!(spec.replicas, Some(2));
    let rolling = spec.strategy.unwrap().rolling_update.unwrap();
    assert_eq!(rolling.max_unavailable, Some(IntOrString::Int(0)));
    assert_eq!(rolling.max_surge, Some(IntOrString::Int(1)));

    // No PodDisruptionBudget: without the webhook objects are stored unchanged, and a budget would
    // block the drain of the last schedulable node.
    assert!(all::<Value>("PodDisruptionBudget").is_empty());
    let labels = spec.selector.match_labels.unwrap();
    let selects = |selector: Option<BTreeMap<_, _>>| assert_eq!(selector.as_ref(), Some(&labels));
    selects(spec.template.metadata.unwrap().labels);
    let service: Service = one("Service");
    selects(service.spec.unwrap().selector);

    let spread = &spec.template.spec.unwrap().topology_spread_constraints.unwrap()[0];
    // Both can run on a cluster of one node.
    assert_eq!(spread.when_unsatisfiable, "ScheduleAnyway");
    assert_eq!(spread.topology_key, kubernetes::HOSTNAME);
    selects(spread.label_selector.clone().unwrap().match_labels);
}

#[test]
fn the_webhook_does_not_depend_on_itself() {
    let pod = webhook_pod();
    assert!(pod.volumes.is_none(), "a claim of its own would be reviewed by itself");
    assert_eq!(pod.priority_class_name.as_deref(), Some("system-cluster-critical"));
    let tolerated = pod.tolerations.unwrap();
    for taint in ["node-role.kubernetes.io/control-plane", "node.kubernetes.io/not-ready"] {
        assert!(tolerated.iter().any(|t| t.key.as_deref() == Some(taint)), "{taint}");
    }
}

#[test]
fn the_webhook_has_no_privileges() {
    let pod = webhook_pod();
    let security = pod.security_context.clone().unwrap();
    assert_eq!((security.run_as_non_root, security.run_as_user), (Some(true), Some(65532)));
    is_confined(&pod, None);
}

#[test]
fn the_agent_mounts_only_two_folders_of_the_host() {
    let pod = agent_pod();
    is_confined(&pod, Some(&["DAC_OVERRIDE", "FOWNER"]));
    let container = only_container(&pod);
    let mounts = container.volume_mounts.clone().unwrap();
    let volumes = pod.volumes.clone().unwrap();
    let mut there = Vec::new();
    for mount in &mounts {
        let volume = volumes.iter().find(|volume| volume.name == mount.name).unwrap();
        let path = &volume.host_path.as_ref().unwrap().path;
        assert_eq!(path, &mount.mount_path, "volumes name paths of the host");
        assert_eq!(mount.mount_propagation.as_deref(), Some("HostToContainer"), "{path}");
        there.push((path.as_str(), mount.read_only == Some(true)));
    }
    assert_eq!(there, [("/var/lib/fastrak", false), ("/var/lib/kubelet/pods", true)]);
    assert_eq!(volumes.len(), 2);

    let node = container.env.as_ref().unwrap().iter().find(|env| env.name == "NODE_NAME");
    let source = node.unwrap().value_from.as_ref().unwrap().field_ref.as_ref().unwrap();
    assert_eq!(source.field_path, "spec.nodeName");
}

#[test]
fn the_agent_runs_on_every_linux_node() {
    let spec = daemon_set(names::AGENT).spec;
    let update = spec.update_strategy.unwrap().rolling_update.unwrap();
    assert_eq!(update.max_unavailable, Some(IntOrString::String("10%".to_owned())));
    let pod = agent_pod();
    let selector = pod.node_selector.unwrap();
    assert_eq!(selector, BTreeMap::from([(kubernetes::OS.to_owned(), "linux".to_owned())]));
    let tolerated = pod.tolerations.unwrap();
    assert!(
        tolerated.iter().any(|t| t.key.is_none()
            && t.effect.is_none()
            && t.operator.as_deref() == Some("Exists"))
    );
    assert_eq!(pod.priority_class_name.as_deref(), Some("system-node-critical"));
}

/// Checks the security context of a pod. `added` are its capabilities.
fn is_confined(pod: &PodSpec, added: Option<&[&str]>) {
    assert_eq!((pod.host_pid, pod.host_network, pod.host_ipc), (None, None, None));
    let profile = pod.security_context.as_ref().unwrap().seccomp_profile.as_ref().unwrap();
    assert_eq!(profile.type_, "RuntimeDefault");
    let container = only_container(pod);
    let security = container.security_context.as_ref().unwrap();
    assert!(security.privileged.is_none());
    assert_eq!(security.allow_privilege_escalation, Some(false));
    assert_eq!(security.read_only_root_filesystem, Some(true));
    let capabilities = security.capabilities.as_ref().unwrap();
    assert_eq!(capabilities.drop.as_deref(), Some(&["ALL".to_owned()][..]));
    let wanted = added.map(|names| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
    assert_eq!(capabilities.add, wanted);
    assert!(container.resources.as_ref().unwrap().limits.as_ref().unwrap().contains_key("memory"));
}

#[test]
fn probes_use_the_admin_port() {
    for pod in [webhook_pod(), agent_pod()] {
        let container = only_container(&pod);
        let admin = container
            .ports
            .as_ref()
            .unwrap()
            .iter()
            .find(|port| port.name.as_deref() == Some("admin"));
        assert_eq!(admin.unwrap().container_port, 8080);
        let asks = |probe: &Option<Probe>, path: &str| {
            let get = probe.as_ref().unwrap().http_get.as_ref().unwrap();
            assert_eq!(get.path.as_deref(), Some(path));
            assert_eq!(get.port, IntOrString::String("admin".to_owned()));
        };
        asks(&container.readiness_probe, "/readyz");
        asks(&container.liveness_probe, "/livez");
    }
}

#[test]
fn other_pods_reach_only_the_review_port() {
    let port_of = |pod: &PodSpec, name: &str| {
        let ports = only_container(pod).ports.clone().unwrap();
        ports.into_iter().find(|port| port.name.as_deref() == Some(name)).unwrap().container_port
    };
    let policies: Vec<NetworkPolicy> = all("NetworkPolicy");
    for (name, labels, open) in [
        (
            names::WEBHOOK,
            one::<Deployment>("Deployment").spec.template.metadata.unwrap().labels,
            vec![port_of(&webhook_pod(), "https")],
        ),
        (names::AGENT, daemon_set(names::AGENT).spec.template.metadata.unwrap().labels, vec![]),
    ] {
        let policy = policies.iter().find(|policy| policy.metadata.name.as_deref() == Some(name));
        let spec = policy.unwrap().spec.clone().unwrap();
        assert_eq!(spec.pod_selector.unwrap().match_labels, labels, "{name}");
        assert_eq!(spec.policy_types.as_deref(), Some(&["Ingress".to_owned()][..]), "{name}");
        let rules = spec.ingress.unwrap_or_default();
        // An API server is not a pod, so no selector can name it.
        assert!(rules.iter().all(|rule| rule.from.is_none()), "{name}");
        let ports = rules.into_iter().flat_map(|rule| rule.ports.unwrap());
        let ports: Vec<_> = ports.map(|port| port.port.unwrap()).collect();
        assert_eq!(ports, open.into_iter().map(IntOrString::Int).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn images_are_those_of_the_dockerfile() {
    let dockerfile = tree::read("deploy/Dockerfile");
    for (pod, name, target) in [
        (webhook_pod(), names::WEBHOOK, "webhook"),
        (agent_pod(), names::AGENT, "agent"),
        (speaker_pod(), names::SPEAKER, "speaker"),
    ] {
        let container = only_container(&pod);
        assert_eq!(container.image.as_deref(), Some(format!("{name}:dev").as_str()));
        assert_eq!(container.image_pull_policy.as_deref(), Some("IfNotPresent"));
        assert!(dockerfile.contains(&format!("FROM scratch AS {target}\nCOPY {name} /{name}\n")));
        assert!(dockerfile.contains(&format!("ENTRYPOINT [\"/{name}\"]")));
    }
    let user = webhook_pod().security_context.unwrap().run_as_user.unwrap();
    assert!(dockerfile.contains(&format!("USER {user}:{user}")));
}

#[test]
fn the_speaker_has_the_network_of_its_node_and_one_capability() {
    let mut pod = speaker_pod();
    assert_eq!(pod.host_network.take(), Some(true));
    is_confined(&pod, Some(&["NET_RAW"]));
    assert!(pod.volumes.is_none() && only_container(&pod).volume_mounts.is_none());
    assert_eq!(pod.priority_class_name.as_deref(), Some("system-node-critical"));
    let node = only_container(&pod).env.as_ref().unwrap().iter();
    let node = node.filter_map(|env| env.value_from.as_ref()?.field_ref.as_ref());
    assert_eq!(
        node.map(|source| source.field_path.as_str()).collect::<Vec<_>>(),
        ["spec.nodeName"]
    );
    let tolerated = pod.tolerations.unwrap();
    assert!(tolerated.iter().any(|one| one.key.is_none() && one.effect.is_none()));
    // A speaker hands its addresses over to others, which must run meanwhile.
    let update = daemon_set(names::SPEAKER).spec.update_strategy.unwrap().rolling_update.unwrap();
    assert_eq!((update.max_unavailable, update.max_surge), (Some(IntOrString::Int(1)), None));
    let grace = u64::try_from(pod.termination_grace_period_seconds.unwrap()).unwrap();
    assert!(grace > fastrak_speaker::run::GRACE.as_secs() + 1);
}

#[test]
fn only_the_node_itself_reaches_the_admin_port_of_the_speaker() {
    let args = ["fastrak-speaker", "--node=node-a"];
    let address = fastrak_speaker::config::Args::try_parse_from(args).unwrap().admin.admin_addr;
    assert!(address.ip().is_loopback());
    let container = only_container(&speaker_pod()).clone();
    assert_eq!((container.ports, container.args), (None, None));
    for (probe, path) in
        [(container.readiness_probe, "/readyz"), (container.liveness_probe, "/livez")]
    {
        let get = probe.unwrap().http_get.unwrap();
        assert_eq!(get.path.as_deref(), Some(path));
        assert_eq!(get.host, Some(address.ip().to_string()));
        assert_eq!(get.port, IntOrString::Int(address.port().into()));
    }
}

#[test]
fn the_webhook_prefers_nodes_of_the_control_plane_and_needs_none() {
    let affinity = webhook_pod().affinity.unwrap().node_affinity.unwrap();
    assert!(affinity.required_during_scheduling_ignored_during_execution.is_none());
    let preferred = affinity.preferred_during_scheduling_ignored_during_execution.unwrap();
    let keys: Vec<_> = preferred
        .iter()
        .flat_map(|term| term.preference.match_expressions.iter().flatten())
        .map(|expression| (expression.key.as_str(), expression.operator.as_str()))
        .collect();
    assert_eq!(keys, [("node-role.kubernetes.io/control-plane", "Exists")]);
}
