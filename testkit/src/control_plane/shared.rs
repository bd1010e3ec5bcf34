//! A control plane shared by all tests of a binary. It is never dropped: its processes die with the
//! test process, and the next start removes its directory.

use anyhow::Result;
use tokio::sync::OnceCell;

use super::{ControlPlane, Options};

static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();

/// Returns the control plane of this process, and starts it at the first call. The options of later
/// calls are ignored.
pub async fn shared(options: Options) -> Result<&'static ControlPlane> {
    SHARED.get_or_try_init(|| ControlPlane::start(options)).await
}
