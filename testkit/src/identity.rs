//! Clients with the permissions of a ServiceAccount only, so that a verb missing from its RBAC
//! fails a test.

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

/// The lifetime of a token, which exceeds that of any test.
const TOKEN_SECONDS: i64 = 24 * 3600;

/// The credentials of a ServiceAccount.
#[derive(Debug, Clone)]
pub struct Identity {
    kubeconfig: String,
    path: PathBuf,
}

impl Identity {
    /// Requests a token of an existing ServiceAccount.
    pub async fn of(plane: &ControlPlane, namespace: &str, account: &str) -> Result<Self> {
        Self::request(plane, namespace, account, None).await
    }

    /// Requests a token that is bound to a pod, as in that pod. It names the pod and its node for
    /// admission policies.
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

    /// Requests a token of a pod of the ServiceAccount on a node. Creates the pod, which does not
    /// run.
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

    /// Creates a client of this ServiceAccount. It must be used on the runtime that creates it.
    pub async fn client(&self) -> Result<Client> {
        crate::access::client(&self.kubeconfig).await
    }

    /// Returns the path of the kubeconfig.
    #[must_use]
    pub fn kubeconfig_path(&self) -> &Path {
        &self.path
    }

    /// Returns the text of the kubeconfig.
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

/// Writes the kubeconfig into a new file, because another test with the same account may be reading
/// its own.
fn keep(directory: &Path, name: &str, kubeconfig: &str) -> Result<PathBuf> {
    let mut file = tempfile::Builder::new()
        .prefix(name)
        .suffix(".kubeconfig")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(directory)
        .context("a file for the kubeconfig of an identity")?;
    file.write_all(kubeconfig.as_bytes()).context("write the kubeconfig of an identity")?;
    Ok(file.keep()?.1)
}

/// Creates a client of this ServiceAccount.
pub async fn service_account_client(
    plane: &ControlPlane,
    namespace: &str,
    account: &str,
) -> Result<Client> {
    Identity::of(plane, namespace, account).await?.client().await
}

/// Applies a manifest, a directory of manifests or a kustomization as the administrator.
pub async fn apply_manifests(plane: &ControlPlane, path: &Path) -> Result<Output> {
    let kustomization = path.join("kustomization.yaml").is_file();
    let how = if kustomization { "-k" } else { "-f" };
    let command =
        plane.kubectl_command().args(["apply", "--server-side", "--force-conflicts", how]);
    let applied = command.arg(path.display().to_string()).run().await;
    applied.with_context(|| format!("apply {}", path.display()))
}
