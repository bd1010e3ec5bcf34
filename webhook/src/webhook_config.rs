//! Watches our own registration: whether the API server still shows us what it should. What differs is
//! a metric and a line in the log. It repairs nothing: the administrator owns the registration, and
//! may have changed it on purpose. `caBundle` is `rotation/`'s.

pub mod controller;
pub mod plan;
pub mod shipped;
