//! Checks whether real nodes can run on this machine. `testbed/debian.sh` installs what is missing.

use std::path::{Path, PathBuf};

use super::proxy::ProxyMode;
use crate::environment::Missing;
use crate::image::is_dynamic;
use crate::process::{Invocation, find};

const PROGRAMS: [&str; 8] =
    ["unshare", "nsenter", "setpriv", "ip", "mount", "containerd", "runc", "ctr"];

const CNI_PLUGINS: [&str; 3] = ["ptp", "host-local", "loopback"];

/// The directories in which distributions install the plugins.
const CNI_DIRECTORYS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// What nodes need from the machine in addition to Kubernetes.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) cni_plugins: PathBuf,
    pub(crate) busybox: PathBuf,
    pub(crate) proxy_mode: ProxyMode,
}

/// Returns what nodes need from the machine, or what is missing.
pub(crate) fn host() -> Result<Host, Missing> {
    if !rustix::process::geteuid().is_root() {
        return Err(Missing::new("real nodes need root"));
    }
    let missing: Vec<&str> =
        PROGRAMS.into_iter().filter(|program| find(program).is_none()).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(Missing::new(format!("not installed: {missing} (see testbed/debian.sh)")));
    }
    let cni_plugins = cni_plugins()?;
    let busybox = static_busybox()?;
    let trial = Invocation::new("unshare").args(["--net", "--mount", "--pid", "--fork", "true"]);
    let refused = |error| Missing::new(format!("namespaces cannot be created: {error:#}"));
    trial.run_blocking().map_err(refused)?;
    Ok(Host { cni_plugins, busybox, proxy_mode: ProxyMode::first_supported()? })
}

fn cni_plugins() -> Result<PathBuf, Missing> {
    let has = |directory: &str, plugin: &&str| Path::new(directory).join(plugin).exists();
    let found =
        CNI_DIRECTORYS.iter().find(|directory| CNI_PLUGINS.iter().all(|one| has(directory, one)));
    found.map(PathBuf::from).ok_or_else(|| {
        let (plugins, directories) = (CNI_PLUGINS, CNI_DIRECTORYS);
        Missing::new(format!(
            "no CNI plugins {plugins:?} in {directories:?} (see testbed/debian.sh)"
        ))
    })
}

fn static_busybox() -> Result<PathBuf, Missing> {
    let missing = || Missing::new("not installed: busybox (see testbed/debian.sh)");
    let path = find("busybox").ok_or_else(missing)?;
    let unusable =
        |why: String| Missing::new(format!("{}: {why} (see testbed/debian.sh)", path.display()));
    let program = std::fs::read(&path).map_err(|error| unusable(error.to_string()))?;
    match is_dynamic(&program) {
        true => Err(unusable("not a static program".to_owned())),
        false => Ok(path),
    }
}
