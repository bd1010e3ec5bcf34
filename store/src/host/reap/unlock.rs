//! Taking off the marks with which chattr(1) keeps a file from being changed, also by root.
//!
//! It takes CAP_LINUX_IMMUTABLE, which the agent does not have unless it was given it; and a tenant
//! needs the same to set them.

use crate::host::Dir;
use crate::host::calls::{Handle, How};
use crate::host::dirs::Kind;
use rustix::fs::IFlags;
use std::ffi::OsStr;

const MARKS: IFlags = IFlags::IMMUTABLE.union(IFlags::APPEND);

/// Takes the marks off `dir` and off `name` in it; whether there was one.
pub(super) fn unlock(dir: &Dir, name: &OsStr) -> bool {
    let inner = match dir.handle().kind_of(name) {
        Ok(Kind::Directory) => dir.handle().open(name, How::SameMount),
        // Nothing else can have them; and opening a device can be an act. With a mark on it or on its
        // folder, which is why we are here, nobody puts one in its place.
        Ok(Kind::File) => dir.handle().open(name, How::Read),
        Ok(Kind::Symlink | Kind::Other) | Err(_) => return clear(dir.handle()),
    };
    // What is mounted over a file is not the tenant's.
    let is_here =
        |inner: &dyn Handle| inner.device("").is_ok_and(|at| at.mount_root == Some(false));
    let inner = inner.is_ok_and(|inner| is_here(&*inner) && clear(&*inner));
    clear(dir.handle()) || inner
}

fn clear(handle: &dyn Handle) -> bool {
    let Ok(flags) = handle.flags() else { return false };
    flags.intersects(MARKS) && handle.set_flags(flags.difference(MARKS)).is_ok()
}
