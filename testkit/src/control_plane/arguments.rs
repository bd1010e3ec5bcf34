//! The command lines of the control plane's programs. Pure.

use std::path::Path;

use super::credentials::Credentials;
use super::options::{Component, Options};

/// The audit policy in the directory of the control plane.
pub(super) const AUDIT_POLICY: &str = "audit-policy.json";
/// The audit log in the directory of the control plane.
pub(super) const AUDIT_LOG: &str = "audit.log";

/// The Service range.
const SERVICE_CIDR: &str = "10.96.0.0/16";

/// The ports of one control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) api: u16,
}

/// Everything that the command lines are made from.
pub(crate) struct Setting<'a> {
    pub(crate) options: &'a Options,
    pub(crate) credentials: &'a Credentials,
    pub(crate) ports: Ports,
    pub(crate) data: &'a Path,
}

impl Setting<'_> {
    /// Returns the arguments of a program.
    pub(crate) fn arguments(&self, component: Component) -> Vec<String> {
        let mut arguments = match component {
            Component::Etcd => self.etcd(),
            Component::ApiServer => self.api_server(),
            Component::ControllerManager => self.controller_manager(),
            Component::Scheduler => self.scheduler(),
        };
        arguments.extend(self.options.flags_of(component).map(str::to_owned));
        arguments
    }

    fn etcd(&self) -> Vec<String> {
        let client = format!("http://127.0.0.1:{}", self.ports.etcd);
        let peer = format!("http://127.0.0.1:{}", self.ports.etcd_peer);
        vec![
            format!("--data-dir={}", self.data.join("etcd").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            // The data of a test bed need not survive a power cut.
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ]
    }

    fn api_server(&self) -> Vec<String> {
        let place = &self.options.place;
        let (bind, reconciler) = match place.is_loopback() {
            // Endpoints of the `kubernetes` Service must not be loopback addresses.
            true => ("127.0.0.1", "none"),
            false => ("0.0.0.0", "lease"),
        };
        let mut arguments = vec![
            format!("--bind-address={bind}"),
            format!("--secure-port={}", self.ports.api),
            format!("--advertise-address={}", place.address),
            format!("--endpoint-reconciler-type={reconciler}"),
            format!("--etcd-servers=http://127.0.0.1:{}", self.ports.etcd),
            format!("--service-cluster-ip-range={SERVICE_CIDR}"),
            self.file("--client-ca-file", "ca.crt"),
            self.file("--tls-cert-file", "kube-apiserver.crt"),
            self.file("--tls-private-key-file", "kube-apiserver.key"),
            self.file("--kubelet-client-certificate", "kubelet-client.crt"),
            self.file("--kubelet-client-key", "kubelet-client.key"),
            self.file("--kubelet-certificate-authority", "ca.crt"),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            self.file("--service-account-key-file", "service-accounts.pub"),
            self.file("--service-account-signing-key-file", "service-accounts.key"),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            "--allow-privileged=true".to_owned(),
            "--profiling=false".to_owned(),
        ];
        if self.options.is_audited() {
            let policy = self.data.join(AUDIT_POLICY);
            arguments.push(format!("--audit-policy-file={}", policy.display()));
            arguments.push(format!("--audit-log-path={}", self.data.join(AUDIT_LOG).display()));
        }
        arguments
    }

    fn controller_manager(&self) -> Vec<String> {
        // Without this controller, Node objects without a kubelet stay Ready.
        let controllers = match self.options.has_node_lifecycle() {
            true => "*",
            false => "*,-node-lifecycle-controller",
        };
        vec![
            self.file("--kubeconfig", "kube-controller-manager.kubeconfig"),
            self.file("--service-account-private-key-file", "service-accounts.key"),
            self.file("--root-ca-file", "ca.crt"),
            format!("--controllers={controllers}"),
            "--use-service-account-credentials=true".to_owned(),
            "--leader-elect=false".to_owned(),
            // At the default rate of 20 it takes seconds to make its controllers' accounts. What
            // measures the default rate sets it.
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=1000".to_owned(),
            NO_PORT.to_owned(),
        ]
    }

    fn scheduler(&self) -> Vec<String> {
        vec![
            self.file("--kubeconfig", "kube-scheduler.kubeconfig"),
            "--leader-elect=false".to_owned(),
            NO_PORT.to_owned(),
        ]
    }

    fn file(&self, flag: &str, name: &str) -> String {
        format!("{flag}={}", self.credentials.path(name).display())
    }
}

/// No client connects to these two, and a port that is not used cannot be taken.
const NO_PORT: &str = "--secure-port=0";
