//! One control plane for all tests of a test binary.
//!
//! It is never dropped: its processes die with the test's, and its folder is cleared away by the
//! next start.

use anyhow::Result;
use tokio::sync::OnceCell;

use super::{ControlPlane, Options};

static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();

/// The control plane of this process, started by the first to ask. All tests of a binary ask for
/// the same, so the options of the others are not looked at.
pub async fn shared(options: Options) -> Result<&'static ControlPlane> {
    SHARED.get_or_try_init(|| ControlPlane::start(options)).await
}
