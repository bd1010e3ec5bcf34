//! Whether real nodes can run on this machine.
//!
//! It changes nothing: `testbed/debian.sh` installs what is missing.

use std::path::{Path, PathBuf};

use crate::image::is_dynamic;
use crate::process::Invocation;

const PROGRAMS: [&str; 8] =
    ["unshare", "nsenter", "setpriv", "ip", "mount", "containerd", "runc", "ctr"];

const CNI_PLUGINS: [&str; 3] = ["ptp", "host-local", "loopback"];

/// Where distributions and others put the plugins.
const CNI_FOLDERS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// What a node is made of besides Kubernetes.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) cni_plugins: PathBuf,
    pub(crate) busybox: PathBuf,
    pub(crate) proxy_mode: &'static str,
}

/// What the machine has, or why it cannot have nodes.
pub(crate) fn host() -> Result<Host, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("real nodes need root".to_owned());
    }
    let missing: Vec<&str> =
        PROGRAMS.into_iter().filter(|program| find(program).is_none()).collect();
    if !missing.is_empty() {
        return Err(format!("not installed: {} (see testbed/debian.sh)", missing.join(", ")));
    }
    let cni_plugins = cni_plugins()?;
    let busybox = static_busybox()?;
    let trial = Invocation::new("unshare").args(["--net", "--mount", "--pid", "--fork", "true"]);
    trial.run_blocking().map_err(|error| format!("no namespaces can be made: {error:#}"))?;
    Ok(Host { cni_plugins, busybox, proxy_mode: proxy_mode()? })
}

fn proxy_mode() -> Result<&'static str, String> {
    let trials = [("nftables", "nft add table ip trial"), ("iptables", "iptables -t nat -N trial")];
    let works = |rule: &str| {
        let trial = Invocation::new("unshare").arg("--net").args(rule.split(' '));
        trial.run_blocking().is_ok()
    };
    let found = trials.into_iter().find(|(_, rule)| works(rule)).map(|(mode, _)| mode);
    found.ok_or_else(|| "neither nft nor iptables works (see testbed/debian.sh)".to_owned())
}

fn cni_plugins() -> Result<PathBuf, String> {
    let has = |folder: &str, plugin: &&str| Path::new(folder).join(plugin).exists();
    let found = CNI_FOLDERS.iter().find(|folder| CNI_PLUGINS.iter().all(|one| has(folder, one)));
    found.map(PathBuf::from).ok_or_else(|| {
        format!("no CNI plugins {CNI_PLUGINS:?} in {CNI_FOLDERS:?} (see testbed/debian.sh)")
    })
}

fn static_busybox() -> Result<PathBuf, String> {
    let path = find("busybox").ok_or("not installed: busybox (see testbed/debian.sh)")?;
    let program = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    match is_dynamic(&program) {
        true => Err(format!("{} is not static (see testbed/debian.sh)", path.display())),
        false => Ok(path),
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let found = Invocation::new("sh").args(["-c", "command -v \"$0\"", program]).run_blocking();
    found.ok().map(|output| PathBuf::from(output.stdout.trim_end()))
}
