use super::*;
use rustix::fd::AsFd as _;
use std::fs::File;

#[test]
fn the_call_numbers_match_the_kernel() {
    // `struct fsxattr` is 28 bytes: _IOR('X', 31, ..) and _IOW('X', 32, ..).
    assert_eq!((raw::GET_ATTRIBUTES, raw::SET_ATTRIBUTES), (0x801C_581F, 0x401C_5820));
    // QCMD(Q_XGETQSTATV, PRJQUOTA) and so on.
    assert_eq!((raw::GET_QUOTA, raw::SET_LIMITS), (0x0058_0302, 0x0058_0402));
    assert_eq!((raw::GET_STATE, raw::GET_NEXT_QUOTA), (0x0058_0802, 0x0058_0902));
}

#[test]
fn procfs_has_no_project_quotas() {
    let file = File::open("/proc/self/status").unwrap();
    let unsupported = Support::None(QuotaUnavailable::Unsupported);
    assert_eq!(support(file.as_fd(), false), Ok(unsupported));
    assert!(project_of(file.as_fd()).is_err());
    assert!(set_project(file.as_fd(), 7, true).is_err());
    assert!(limit(file.as_fd(), 7, Limits::bytes(1 << 20)).is_err());
    assert!(usage(file.as_fd(), 7).is_err());
    assert!(next_used(file.as_fd(), 1).is_err());
}
