//! Wakes the work that waits for a volume as soon as the volume is unmounted.
//!
//! The list of mounts is watched only while something waits, and a change of it costs one reading
//! of the list for any number of volumes. If the list cannot be watched, the work retries by itself
//! after a few seconds.

use crate::context::Context;
use crate::upkeep::unless;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_store::host::calls::MountWatch;
use rustix::io::Errno;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The time in which changes are collected. A node on which a hundred pods start and stop changes
/// its list some hundred times in a second.
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// The pause after a reading, as a multiple of its duration. The kernel takes milliseconds to write
/// a list of thousands of mounts; with the pause that is at most a tenth of one processor.
const PAUSE_FACTOR: u32 = 9;
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// The list of mounts, if it is watched.
#[derive(Debug, Default)]
struct Watched {
    list: Option<Box<dyn MountWatch>>,
    is_refused: bool,
}

impl Watched {
    /// Watches the list exactly while something waits.
    fn follow(&mut self, context: &Context) {
        if context.unmounts.is_empty() {
            self.list = None;
        } else if self.list.is_none() {
            match context.store.pools().machine().watch_mounts() {
                Ok(list) => self.list = Some(list),
                Err(errno) => self.refused(errno),
            }
        }
    }

    /// Returns when the list has changed; never while it is not watched. After an error the list is
    /// opened again when something else starts to wait, so a permanent error costs nothing.
    async fn changed(&mut self) {
        let Some(list) = &self.list else { return std::future::pending().await };
        let changed = list.changed().await;
        if let Err(errno) = changed {
            self.list = None;
            self.refused(errno);
            std::future::pending().await
        }
    }

    fn refused(&mut self, errno: Errno) {
        if !std::mem::replace(&mut self.is_refused, true) {
            tracing::warn!(error = %errno, "could not watch the mounts; volumes are removed some seconds after their unmount");
        }
    }
}

/// Wakes work until shutdown is requested.
pub(crate) async fn run(context: Arc<Context>, shutdown: Shutdown) -> Result<(), Infallible> {
    let mut watched = Watched::default();
    let steps = async {
        loop {
            tokio::select! {
                () = context.unmounts.added() => {}
                () = watched.changed() => {}
            }
            // Before the reading: any later change is then waited for.
            watched.follow(&context);
            let began = Instant::now();
            wake(&context).await;
            let pause = began.elapsed().saturating_mul(PAUSE_FACTOR).clamp(MIN_PAUSE, MAX_PAUSE);
            tokio::time::sleep(pause).await;
            watched.follow(&context);
        }
    };
    unless(&shutdown, steps).await;
    Ok(())
}

/// Reads the list of mounts and wakes the work that waits for volumes that are not in it.
pub async fn wake(context: &Context) {
    if context.unmounts.is_empty() {
        return;
    }
    // The store logs the error, and the work retries by itself.
    if let Ok(Some(mounts)) = context.on_disk(|store| Ok(store.mounts())).await {
        context.unmounts.take(&mounts).into_iter().for_each(|key| context.queue.add(key));
    }
}
