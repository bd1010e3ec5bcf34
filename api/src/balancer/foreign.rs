//! The marks of other load balancers on a Service. Which of them counts is the webhook's to say.

/// Beginnings of annotations by which another load balancer takes a Service for its own.
pub const PREFIXES: [&str; 12] = [
    "metallb.io/",
    "metallb.universe.tf/",
    "kube-vip.io/",
    "purelb.io/",
    "lbipam.cilium.io/",
    "io.cilium/",
    "service.beta.kubernetes.io/",
    "service.kubernetes.io/load-balancer-",
    "cloud.google.com/",
    "networking.gke.io/",
    "tailscale.com/",
    "ngrok.com/",
];

/// Whether another load balancer's annotation begins like this one.
pub(super) fn marks(annotation: &str) -> bool {
    PREFIXES.iter().any(|prefix| annotation.starts_with(prefix))
}
