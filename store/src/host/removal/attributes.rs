//! Clears the inode flags with which chattr(1) protects a file, even from root.
//!
//! This requires CAP_LINUX_IMMUTABLE, which the agent has only if an administrator grants it. A
//! tenant needs the same capability to set the flags.

use crate::host::Dir;
use crate::host::calls::{Handle, Kind, OpenMode};
use rustix::fs::IFlags;
use std::ffi::OsStr;

const PROTECTION: IFlags = IFlags::IMMUTABLE.union(IFlags::APPEND);

/// Clears the flags of `dir` and of `name` in it. Returns whether one was set.
pub(super) fn clear_protection(dir: &Dir, name: &OsStr) -> bool {
    let inner = match dir.handle().kind_of(name) {
        Ok(Kind::Directory) => dir.handle().open(name, OpenMode::SameMount),
        // Other types cannot have the flags, and opening a device can have side effects. Nobody can
        // put a device in its place while it or its directory is protected.
        Ok(Kind::File) => dir.handle().open(name, OpenMode::Read),
        Ok(Kind::Symlink | Kind::Other) | Err(_) => return clear(dir.handle()),
    };
    // A filesystem mounted over a file does not belong to the tenant.
    let is_here =
        |inner: &dyn Handle| inner.device("").is_ok_and(|at| at.mount_root == Some(false));
    let inner = inner.is_ok_and(|inner| is_here(&*inner) && clear(&*inner));
    clear(dir.handle()) || inner
}

fn clear(handle: &dyn Handle) -> bool {
    let Ok(flags) = handle.flags() else { return false };
    flags.intersects(PROTECTION) && handle.set_flags(flags.difference(PROTECTION)).is_ok()
}
