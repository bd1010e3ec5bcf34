//! Callers with the rights of a ServiceAccount and no others, so that a verb missing from its
//! RBAC fails a test. And the way to apply the manifests that grant those rights.
//!
//! It makes no account and grants nothing itself.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};

use crate::control_plane::{ControlPlane, Proof, kubeconfig_text};
use crate::objects::pod;
use crate::process::Output;

/// Longer than any test.
const TOKEN_SECONDS: i64 = 24 * 3600;

/// The means to act as one ServiceAccount.
#[derive(Debug, Clone)]
pub struct Identity {
    kubeconfig: String,
    path: PathBuf,
}

impl Identity {
    /// A token of this ServiceAccount, which has to exist.
    pub async fn of(plane: &ControlPlane, namespace: &str, account: &str) -> Result<Self> {
        Self::request(plane, namespace, account, None).await
    }

    /// The token that this pod would be given: it names the pod and the pod's node, which admission
    /// policies can hold the caller to.
    pub async fn of_pod(plane: &ControlPlane, pod: &Pod) -> Result<Self> {
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
        let namespace = pod.namespace().context("a pod has a namespace")?;
        let reference = BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(pod.name_any()),
            uid: pod.uid(),
        };
        Self::request(plane, &namespace, account.unwrap_or("default"), Some(reference)).await
    }

    /// The token of this ServiceAccount's pod on a node. The pod is made, and nothing runs it.
    pub async fn on_node(
        plane: &ControlPlane,
        namespace: &str,
        account: &str,
        node: &str,
    ) -> Result<Self> {
        let pods: Api<Pod> = Api::namespaced(plane.client().await?, namespace);
        let object = pod(&format!("{account}-{node}")).service_account(account).on_node(node);
        let made = pods.create(&PostParams::default(), &object.build(namespace)).await;
        Self::of_pod(plane, &made.with_context(|| format!("a pod of {account} on {node}"))?).await
    }

    /// A client that is this account. It belongs to the runtime that asks for it.
    pub async fn client(&self) -> Result<Client> {
        crate::access::client(&self.kubeconfig).await
    }

    /// The kubeconfig, for a program that takes it as a file.
    #[must_use]
    pub fn kubeconfig_path(&self) -> &Path {
        &self.path
    }

    /// The text of the kubeconfig.
    #[must_use]
    pub fn kubeconfig_text(&self) -> &str {
        &self.kubeconfig
    }

    async fn request(
        plane: &ControlPlane,
        namespace: &str,
        account: &str,
        bound_object_ref: Option<BoundObjectReference>,
    ) -> Result<Self> {
        let suffix = bound_object_ref.as_ref().and_then(|pod| pod.name.clone());
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(TOKEN_SECONDS),
                bound_object_ref,
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(plane.client().await?, namespace);
        let params = PostParams::default();
        let answer = accounts.create_token_request(account, &params, &request);
        let answer = answer.await.with_context(|| format!("a token of {namespace}/{account}"))?;
        let token =
            answer.status.and_then(|status| status.token).context("the answer has a token")?;
        let kubeconfig = kubeconfig_text(&plane.endpoint(), &Proof::Token(token));
        let name = format!("{namespace}-{account}-{}", suffix.unwrap_or_default());
        let path = keep(&plane.scratch_dir("identities")?, &name, &kubeconfig)?;
        Ok(Self { kubeconfig, path })
    }
}

/// Puts the kubeconfig into a file of its own: another test with the same account may be reading
/// its own at this moment.
fn keep(folder: &Path, name: &str, kubeconfig: &str) -> Result<PathBuf> {
    let mut file = tempfile::Builder::new()
        .prefix(name)
        .suffix(".kubeconfig")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .context("a file for the kubeconfig of an identity")?;
    file.write_all(kubeconfig.as_bytes()).context("write the kubeconfig of an identity")?;
    Ok(file.keep()?.1)
}

/// A client that is this ServiceAccount.
pub async fn service_account_client(
    plane: &ControlPlane,
    namespace: &str,
    account: &str,
) -> Result<Client> {
    Identity::of(plane, namespace, account).await?.client().await
}

/// Applies a manifest, a folder of them, or a kustomization, as the administrator would.
pub async fn apply_manifests(plane: &ControlPlane, path: &Path) -> Result<Output> {
    let kustomization = path.join("kustomization.yaml").is_file();
    let how = if kustomization { "-k" } else { "-f" };
    let command =
        plane.kubectl_command().args(["apply", "--server-side", "--force-conflicts", how]);
    let applied = command.arg(path.display().to_string()).run().await;
    applied.with_context(|| format!("apply {}", path.display()))
}
