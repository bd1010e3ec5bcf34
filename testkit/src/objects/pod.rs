//! Pods.

use k8s_openapi::api::core::v1::{
    Container, PersistentVolumeClaimVolumeSource, Pod, PodSecurityContext, PodSpec, Volume,
    VolumeMount,
};

use super::{BUSYBOX, metadata_methods, named};

/// Builds a pod of one container.
#[derive(Debug, Clone)]
pub struct PodBuilder {
    object: Pod,
    spec: PodSpec,
    container: Container,
}

metadata_methods!(PodBuilder);

/// Returns a builder of a pod that runs busybox until it is stopped.
#[must_use]
pub fn pod(name: &str) -> PodBuilder {
    let container = Container {
        name: "main".to_owned(),
        image: Some(BUSYBOX.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        ..Container::default()
    };
    let spec = PodSpec {
        // The shell ignores SIGTERM as the first process.
        termination_grace_period_seconds: Some(1),
        ..PodSpec::default()
    };
    let object = Pod { metadata: named(name), ..Pod::default() };
    PodBuilder { object, spec, container }.shell("while :; do sleep 3600; done")
}

impl PodBuilder {
    /// Sets the script that the container runs.
    #[must_use]
    pub fn shell(mut self, script: &str) -> Self {
        let words = ["/bin/sh", "-c", script];
        self.container.command = Some(words.map(str::to_owned).to_vec());
        self
    }

    /// Sets the image, with its own entrypoint and these arguments.
    #[must_use]
    pub fn image(mut self, image: &str, args: &[&str]) -> Self {
        self.container.image = Some(image.to_owned());
        self.container.command = None;
        self.container.args = Some(args.iter().map(|&arg| arg.to_owned()).collect());
        self
    }

    /// Mounts a claim at `/<claim>`.
    #[must_use]
    pub fn mounts(mut self, claim: &str) -> Self {
        let source =
            PersistentVolumeClaimVolumeSource { claim_name: claim.to_owned(), read_only: None };
        let volume = Volume {
            name: claim.to_owned(),
            persistent_volume_claim: Some(source),
            ..Volume::default()
        };
        let mount = VolumeMount {
            name: claim.to_owned(),
            mount_path: format!("/{claim}"),
            ..VolumeMount::default()
        };
        self.spec.volumes.get_or_insert_default().push(volume);
        self.container.volume_mounts.get_or_insert_default().push(mount);
        self
    }

    /// Assigns the pod to a node without the scheduler.
    #[must_use]
    pub fn on_node(mut self, node: &str) -> Self {
        self.spec.node_name = Some(node.to_owned());
        self
    }

    /// Adds a label to the node selector.
    #[must_use]
    pub fn node_selector(mut self, key: &str, value: &str) -> Self {
        let all = self.spec.node_selector.get_or_insert_default();
        all.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets the user and the group of its volumes.
    #[must_use]
    pub fn runs_as(mut self, user: i64, fs_group: i64) -> Self {
        self.spec.security_context = Some(PodSecurityContext {
            run_as_user: Some(user),
            fs_group: Some(fs_group),
            ..PodSecurityContext::default()
        });
        self
    }

    /// Sets the restart policy Never.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.spec.restart_policy = Some("Never".to_owned());
        self
    }

    /// Sets the service account.
    #[must_use]
    pub fn service_account(mut self, name: &str) -> Self {
        self.spec.service_account_name = Some(name.to_owned());
        self
    }

    /// Changes the spec.
    #[must_use]
    pub fn with_spec(mut self, change: impl FnOnce(&mut PodSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// Returns the pod.
    #[must_use]
    pub fn build(self, namespace: &str) -> Pod {
        let mut object = self.object;
        object.metadata.namespace = Some(namespace.to_owned());
        let mut spec = self.spec;
        spec.containers.insert(0, self.container);
        object.spec = Some(spec);
        object
    }
}
