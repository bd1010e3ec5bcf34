//! The images that every node has from the start, built from the machine's busybox.

use std::path::Path;

use anyhow::{Context, Result};

use super::configuration::PAUSE;
use crate::image::Image;
use crate::objects::BUSYBOX;
use crate::process::Invocation;

/// The usual name of the busybox image in manifests.
const FAMILIAR: &str = "docker.io/library/busybox:1.36";

/// Waits until it is stopped, and reaps the processes of the other containers of its pod.
const WAIT: &str = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done";

/// The accounts, which some programs need to start.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";

/// Returns one image under three names: the pause image, and a busybox with all its programs.
pub(crate) async fn standard(busybox: &Path) -> Result<Image> {
    let bytes = std::fs::read(busybox).with_context(|| format!("read {}", busybox.display()))?;
    let list = Invocation::new(busybox).arg("--list").run().await?.stdout;
    let mut image = Image::scratch(&[PAUSE, BUSYBOX, FAMILIAR])
        .directory("bin", 0o755)
        .directory("etc", 0o755)
        .directory("root", 0o700)
        .directory("tmp", 0o1777)
        .file("etc/passwd", 0o644, PASSWD)
        .file("etc/group", 0o644, "root:x:0:\n")
        .file("bin/busybox", 0o755, bytes);
    for program in list.lines().filter(|&program| program != "busybox") {
        image = image.link(&format!("bin/{program}"), "busybox");
    }
    Ok(image.starts(&["/bin/sh", "-c", WAIT]))
}
