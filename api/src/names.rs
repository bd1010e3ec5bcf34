//! Every string of fastrak that can appear in a cluster, each defined once, and the strings of
//! other projects that fastrak reads or writes.
//!
//! Existing clusters contain these names: add names, never change one.

/// Builds a name under fastrak's domain, so that the domain itself is defined in one place.
macro_rules! domain {
    () => {
        "fastrak.io"
    };
    ($rest:literal) => {
        concat!("fastrak.io/", $rest)
    };
}

/// The domain of all of fastrak's own names.
pub const DOMAIN: &str = domain!();

/// The provisioner of fastrak's classes. Also the name of its `CSIDriver` object, which is why it
/// is a DNS subdomain and not `fastrak.io/local`.
pub const PROVISIONER: &str = concat!("local.", domain!());

/// The default class of claims.
pub const CLASS_DEFAULT: &str = "local-storage";
/// The class whose volumes outlive their claims.
pub const CLASS_RETAIN: &str = "local-storage-retain";

/// Annotation on claims and volumes: the name of their node. Label on both: the node's key.
pub const NODE: &str = domain!("node");
/// Annotation on a claim: the reason of its pin ([`crate::claim::PinnedBy`]).
pub const PINNED_BY: &str = domain!("pinned-by");
/// Condition on a node: whether all of its pools can be used.
pub const POOLS_READY: &str = "FastrakPoolsReady";
/// The policy that restricts each agent to the status of its own node.
pub const AGENT_NODES_POLICY: &str = "fastrak-agent-node-status";
/// The policy that restricts each agent to the status of claims of its own node.
pub const AGENT_CLAIMS_POLICY: &str = "fastrak-agent-claim-status";
/// The policy that restricts each agent to the volumes of its own node.
pub const AGENT_VOLUMES_POLICY: &str = "fastrak-agent-volumes";
/// The policy that restricts the webhook to its own fields of claims.
pub const WEBHOOK_CLAIMS_POLICY: &str = "fastrak-webhook-claims";
/// The policy that restricts the webhook to its own fields of Services.
pub const WEBHOOK_SERVICES_POLICY: &str = "fastrak-webhook-services";
/// The policy that restricts the webhook to the addresses of its own Services.
pub const WEBHOOK_SERVICE_STATUS_POLICY: &str = "fastrak-webhook-service-status";
/// The ClusterRole and the Role that let the webhook assign addresses.
pub const WEBHOOK_ADDRESSES: &str = "fastrak-webhook-addresses";
/// The ClusterRole that lets the webhook delete Tunnels, and the policy that restricts it to those
/// that a Service controls.
pub const WEBHOOK_TUNNELS: &str = "fastrak-webhook-tunnels";
/// The priority level of fastrak's requests to the API server.
pub const PRIORITY_LEVEL: &str = "fastrak";
/// Annotation on a node: the pool of that node that an administrator allows this cluster to adopt.
/// The agent removes the annotation after the adoption.
pub const ADOPT_POOL: &str = domain!("adopt-pool");
/// Annotation on a node: the pool of that node whose many new orphans an administrator has
/// confirmed. The agent removes the annotation after it has read it.
pub const CONFIRM_ORPHANS: &str = domain!("confirm-orphans");
/// Annotation on a namespace: [`INHERIT_VOLUMES_ENABLED`] lets its claims adopt volumes of an earlier
/// namespace of the same name.
pub const INHERIT_VOLUMES: &str = domain!("inherit-volumes");
/// The value of [`INHERIT_VOLUMES`] that allows it.
pub const INHERIT_VOLUMES_ENABLED: &str = "true";
/// Label on a volume: the pool of its data.
pub const POOL: &str = domain!("pool");
/// Finalizer on a volume: its agent removes the data first.
pub const VOLUME_FINALIZER: &str = domain!("volume");
/// Annotation on a claim: the volume to restore from the trash ([`crate::claim::RestoreRequest`]).
pub const UNDELETE: &str = domain!("undelete");
/// Annotation on a claim: the retained volume to adopt.
pub const ADOPT: &str = domain!("adopt");
/// Annotation on a claim: the volume of another provisioner to import.
pub const IMPORT: &str = domain!("import");
/// Annotation on a Service: the mode that gives it an address ([`crate::balancer::Mode`]).
pub const BALANCER: &str = domain!("balancer");
/// Annotation on a Service: the decision about it ([`crate::balancer::Decision`]).
pub const BALANCER_DECISION: &str = domain!("balancer-decision");
/// Label on an object or a namespace: [`ADMISSION_DISABLED`] opts out of fastrak.
pub const ADMISSION: &str = domain!("admission");
/// The value of [`ADMISSION`] that opts out.
pub const ADMISSION_DISABLED: &str = "disabled";

/// Annotation on a namespace: the class of its claims that name none. Beside it, [`BALANCER`] on a
/// namespace is the default of its Services.
pub const NAMESPACE_CLASS: &str = domain!("default-class");

/// Prefix of the names of fastrak's volumes; the claim's uid follows.
pub const VOLUME_NAME_PREFIX: &str = "pvc-";

/// The default namespace of fastrak.
pub const NAMESPACE: &str = "fastrak-system";
/// Name of the webhook's Deployment, Service and ServiceAccount.
pub const WEBHOOK: &str = "fastrak-webhook";
/// Name of the agent's DaemonSet and ServiceAccount, and the value of the label
/// [`kubernetes::APP_NAME`] on its pods.
pub const AGENT: &str = "fastrak-agent";
/// The Role that lets the webhook store its own certificates.
pub const WEBHOOK_CERTIFICATES: &str = "fastrak-webhook-certificates";
/// The ClusterRole that lets the webhook write its own `caBundle`.
pub const WEBHOOK_CA_BUNDLE: &str = "fastrak-webhook-ca-bundle";
/// The Secret in which the webhook's replicas share their certificates.
pub const WEBHOOK_SECRET: &str = "fastrak-webhook-certs";
/// In that Secret: the trusted CAs, the signing one first.
pub const SECRET_CA_CERT: &str = "ca.crt";
/// In that Secret: the key of the signing CA.
pub const SECRET_CA_KEY: &str = "ca.key";
/// In that Secret: the certificate that is served.
pub const SECRET_LEAF_CERT: &str = "tls.crt";
/// In that Secret: its key.
pub const SECRET_LEAF_KEY: &str = "tls.key";
/// In that Secret, while the CA is being replaced: the next CA.
pub const SECRET_NEXT_CERT: &str = "next.crt";
/// In that Secret: the key of the next CA.
pub const SECRET_NEXT_KEY: &str = "next.key";
/// In that Secret: when the previous CAs are removed, in seconds since 1970.
pub const SECRET_RETIRE_AT: &str = "retire-at";
/// In that Secret: set if the Secret was recreated and its CA is not published yet.
pub const SECRET_INHERITS: &str = "inherits";
/// The MutatingWebhookConfiguration.
pub const WEBHOOK_CONFIGURATION: &str = "fastrak";
/// Name of the webhook for claims in that configuration.
pub const CLAIMS_HOOK: &str = concat!("claims.", domain!());
/// Name of the webhook for Services in that configuration.
pub const SERVICES_HOOK: &str = concat!("services.", domain!());
/// Name of the webhook for the probe in that configuration.
pub const PROBE_HOOK: &str = concat!("probe.", domain!());
/// Path that serves reviews of claims.
pub const CLAIMS_PATH: &str = "/claims";
/// Path that serves reviews of Services.
pub const SERVICES_PATH: &str = "/services";

/// The Lease of the webhook's leader election.
pub const WEBHOOK_LEASE: &str = WEBHOOK;
/// The namespace in which the webhook creates a claim by a dry run, to check that the API server
/// reaches it. Also the name of the Role that allows it.
pub const PROBE_NAMESPACE: &str = "fastrak-probe";
/// Label on that claim: [`PROBE_REQUESTED`]. Annotation on the answer: [`PROBE_ANSWERED`].
pub const PROBE: &str = domain!("probe");
/// The value of the label.
pub const PROBE_REQUESTED: &str = "true";
/// The value of the annotation.
pub const PROBE_ANSWERED: &str = "seen";

/// The namespace of the Leases that assign addresses to nodes.
pub const ADDRESS_NAMESPACE: &str = "fastrak-addresses";
/// Label on a Lease of an address ([`crate::assignment`]).
pub const ADDRESS: &str = domain!("address");
/// The value of [`ADDRESS`].
pub const ADDRESS_ENABLED: &str = "true";
/// Annotation on a Lease of an address: the node that takes it over if the holder fails.
pub const STANDBY: &str = domain!("standby");
/// Annotation on a Lease of an address: whether the holder has accepted it
/// ([`crate::assignment::State`]).
pub const ADDRESS_STATE: &str = domain!("address-state");
/// Annotation on a refused Lease: the MAC address of the station that uses the address.
pub const ADDRESS_CONFLICT: &str = domain!("address-conflict");
/// Label on a Lease of a frontend ([`crate::frontend`]): the key of its node.
pub const FRONTEND: &str = domain!("frontend");
/// Annotation on a refused Lease of a frontend: why its node cannot serve it
/// ([`crate::frontend::Conflict`]).
pub const FRONTEND_CONFLICT: &str = domain!("frontend-conflict");
/// Annotations on a Lease of an address: the namespace, the name and the UID of the Service that has
/// the address.
pub const SERVICE_NAMESPACE: &str = domain!("service-namespace");
/// See [`SERVICE_NAMESPACE`].
pub const SERVICE_NAME: &str = domain!("service-name");
/// See [`SERVICE_NAMESPACE`].
pub const SERVICE_UID: &str = domain!("service-uid");
/// The load balancer class of Services whose addresses the speakers answer for.
pub const ADDRESS_CLASS: &str = domain!("address");
/// Annotation on a Service: the addresses that it requests, separated by commas.
pub const LOAD_BALANCER_IPS: &str = domain!("load-balancer-ips");
/// Annotation on a Service: it may share its address with the Services of its namespace that have the
/// same value and other ports.
pub const SHARED_ADDRESS: &str = domain!("shared-address");
/// The version of the API of [`ADDRESS_POOLS`].
pub const ADDRESS_POOL_VERSION: &str = domain!("v1alpha1");
/// The CustomResourceDefinition of address pools.
pub const ADDRESS_POOLS: &str = concat!("addresspools.", domain!());
/// Annotation on the Lease of a heartbeat: the MAC address of the speaker that writes it.
pub const HEARTBEAT_MAC: &str = domain!("heartbeat-mac");
/// Name of the speaker's DaemonSet, ServiceAccount and Role, and the value of the label
/// [`kubernetes::APP_NAME`] on its pods.
pub const SPEAKER: &str = "fastrak-speaker";
/// The policy that restricts each speaker to the assignments of its own node.
pub const SPEAKER_ADDRESSES_POLICY: &str = "fastrak-speaker-addresses";
/// The policy that restricts each speaker to the frontends of its own node.
pub const SPEAKER_FRONTENDS_POLICY: &str = "fastrak-speaker-frontends";
/// The policy that restricts each speaker to the heartbeat of its own node.
pub const SPEAKER_HEARTBEATS_POLICY: &str = "fastrak-speaker-heartbeats";

/// Field manager that owns `caBundle` in the webhook configuration, and nothing else.
pub const MANAGER_CA_BUNDLE: &str = "fastrak-ca-bundle";
/// Field manager of the addresses in the status of Services, and of their Leases.
pub const MANAGER_ADDRESSES: &str = "fastrak-addresses";
/// Field manager of the webhook's repairs.
pub const MANAGER_REPAIR: &str = "fastrak-repair";
/// Field manager of the agent's writes.
pub const MANAGER_AGENT: &str = "fastrak-agent";

/// Kubernetes' own names that fastrak reads or writes.
pub mod kubernetes {
    /// The node chosen for a claim. Its presence starts dynamic provisioning.
    pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
    /// The provisioner of a claim.
    pub const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
    /// The same, in the older spelling that the controller manager still writes beside it.
    pub const STORAGE_PROVISIONER_BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";
    /// The class of a claim from before the field existed. Immutable, with priority over the field.
    pub const STORAGE_CLASS_BETA: &str = "volume.beta.kubernetes.io/storage-class";
    /// Marks a StorageClass as the default.
    pub const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
    /// The same, in the older spelling that the API server still honours.
    pub const DEFAULT_CLASS_BETA: &str = "storageclass.beta.kubernetes.io/is-default-class";
    /// The provisioner of a volume. Without it the controller manager tries its own deleter.
    pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
    /// The label that ties a volume to its node. It may differ from the node's name.
    pub const HOSTNAME: &str = "kubernetes.io/hostname";
    /// Label on a pod: the program that it runs.
    pub const APP_NAME: &str = "app.kubernetes.io/name";
    /// Prefixes of the taints that Kubernetes and cloud providers add to a node and remove again: a
    /// node that is cordoned, not ready, or short of something.
    pub const TRANSIENT_TAINTS: [&str; 2] =
        ["node.kubernetes.io/", "node.cloudprovider.kubernetes.io/"];
    /// The kind of a claim, as a source of data: a clone.
    pub const KIND_CLAIM: &str = "PersistentVolumeClaim";
    /// The kind of a snapshot, as a source of data.
    pub const KIND_SNAPSHOT: &str = "VolumeSnapshot";
    /// The operating system of a node.
    pub const OS: &str = "kubernetes.io/os";
    /// Prefix of the finalizers that Kubernetes itself adds to claims.
    pub const FINALIZER_PREFIX: &str = "kubernetes.io/";
    /// The finalizer of cloud controllers and k3s on a Service that they serve.
    pub const SERVICE_FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";
    /// The annotation from before the field `spec.loadBalancerSourceRanges` existed.
    pub const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
    /// Label of an EndpointSlice: the name of its Service.
    pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
    /// Label on a node: no load balancer may use it.
    pub const EXCLUDE_BALANCERS: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
    /// The label by which a selector can name a namespace.
    pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
    /// The namespace that every cluster has; its uid identifies the cluster.
    pub const SYSTEM_NAMESPACE: &str = "kube-system";
    /// Namespaces whose objects fastrak never changes, in addition to its own.
    pub const SYSTEM_NAMESPACES: [&str; 2] = [SYSTEM_NAMESPACE, "kube-node-lease"];
}

/// Names of other provisioners of local volumes.
pub mod provisioners {
    /// The one of Rancher.
    pub const LOCAL_PATH: &str = "rancher.io/local-path";
    /// The one of OpenEBS.
    pub const OPENEBS_LOCAL: &str = "openebs.io/local";
}

/// Names of the inlets operator.
pub mod inlets {
    /// The field manager of the operator's writes: the name of its program.
    pub const OPERATOR: &str = "inlets-operator";
    /// Annotation that makes operators of 0.17 and later serve or ignore a Service.
    pub const MANAGE: &str = "operator.inlets.dev/manage";
    /// The same for operators of 0.16 and earlier.
    pub const MANAGE_LEGACY: &str = "dev.inlets.manage";
    /// Annotation that makes operators after 0.17.12 send the addresses of clients by the PROXY
    /// protocol. fastrak leaves it to users.
    pub const PROXY_PROTO: &str = "operator.inlets.dev/proxy-proto";
    /// The CustomResourceDefinition of operators of 0.17 and later.
    pub const TUNNELS: &str = "tunnels.operator.inlets.dev";
    /// The API group of [`TUNNELS`].
    pub const TUNNEL_GROUP: &str = "operator.inlets.dev";
    /// The version of the API of [`TUNNELS`].
    pub const TUNNEL_VERSION: &str = "operator.inlets.dev/v1alpha1";
    /// The operator appends this to the name of a Service and gets the name of its Tunnel.
    pub const TUNNEL_SUFFIX: &str = "-tunnel";
    /// The port that the tunnel itself uses, so a Service cannot use it.
    pub const CONTROL_PORT: i32 = 8123;
}
