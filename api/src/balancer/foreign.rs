//! The marks of other load balancers on a Service.
//!
//! A mark is an annotation, a label or a finalizer with a known prefix: a vendor's whole domain if
//! it is only used for load balancing, otherwise the domain with the start of the name.

use crate::object::{Metadata, Pairs};

/// Prefixes of keys that mark a Service as another load balancer's.
pub const PREFIXES: [&str; 48] = [
    // Load balancers for bare clusters.
    // https://metallb.io/usage/
    "metallb.io/",
    "metallb.universe.tf/",
    // https://kube-vip.io/docs/usage/kubernetes-services/
    "kube-vip.io/",
    // https://purelb.gitlab.io/docs/operation/services/
    "purelb.io/",
    // https://docs.cilium.io/en/stable/network/lb-ipam/
    "lbipam.cilium.io/",
    "io.cilium/lb-ipam-",
    // https://docs.cilium.io/en/stable/network/node-ipam/
    "io.cilium.nodeipam/",
    // https://docs.tigera.io/calico/latest/networking/ipam/service-loadbalancer
    "projectcalico.org/loadBalancerIPs",
    "projectcalico.org/ipv4pools",
    "projectcalico.org/ipv6pools",
    // https://antrea.io/docs/main/docs/service-loadbalancer/
    "service.antrea.io/",
    // https://github.com/loxilb-io/kube-loxilb
    "loxilb.io/",
    // https://openelb.io/docs/getting-started/usage/ (Porter was its name before)
    "lb.kubesphere.io/",
    "finalizer.lb.kubesphere.io/",
    "eip.openelb.kubesphere.io/",
    "protocol.openelb.kubesphere.io/",
    "layer2.openelb.kubesphere.io/",
    "eip.porter.kubesphere.io/",
    "protocol.porter.kubesphere.io/",
    "layer2.porter.kubesphere.io/",
    // https://docs.k3s.io/networking/networking-services (a label chooses the pool of nodes)
    "svccontroller.k3s.cattle.io/",
    // https://docs.harvesterhci.io/latest/rancher/cloud-provider/
    "cloudprovider.harvesterhci.io/",
    // https://clouddocs.f5.com/containers/latest/userguide/loadbalancer/
    "cis.f5.com/",
    // https://tailscale.com/kb/1439/kubernetes-operator-cluster-ingress
    "tailscale.com/",
    // https://ngrok.com/docs/k8s/
    "ngrok.com/",
    // Clouds. Those of AWS, Azure, DigitalOcean, Linode, Scaleway, Vultr, Exoscale, UpCloud,
    // Alibaba, Baidu, Oracle and OpenStack have, among others, names under these two; so has the
    // finalizer of cloud controllers and of k3s' ServiceLB,
    // service.kubernetes.io/load-balancer-cleanup.
    // https://kubernetes.io/docs/reference/labels-annotations-taints/
    "service.beta.kubernetes.io/",
    "service.kubernetes.io/load-balancer-",
    // https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/nlb/
    "service.k8s.aws/",
    // https://cloud.google.com/kubernetes-engine/docs/concepts/service-load-balancer-parameters
    "cloud.google.com/",
    "networking.gke.io/",
    "gke.networking.io/",
    // https://github.com/hetznercloud/hcloud-cloud-controller-manager
    "load-balancer.hetzner.cloud/",
    // https://github.com/kubernetes/cloud-provider-openstack
    "loadbalancer.openstack.org/",
    // https://help.ovhcloud.com/csm/en-public-cloud-kubernetes-expose-your-applications-using-load-balancer
    "loadbalancer.ovhcloud.com/",
    // https://docs.oracle.com/en-us/iaas/Content/ContEng/Tasks/contengcreatingloadbalancer_topic-Summaryofannotations.htm
    "oci.oraclecloud.com/",
    "oci-network-load-balancer.oraclecloud.com/",
    // https://docs.digitalocean.com/products/kubernetes/how-to/configure-load-balancers/
    "kubernetes.digitalocean.com/load-balancer-",
    // https://www.civo.com/docs/kubernetes/load-balancers
    "kubernetes.civo.com/",
    // https://cloud.ibm.com/docs/containers?topic=containers-loadbalancer
    "service.kubernetes.io/ibm-load-balancer-",
    // https://www.tencentcloud.com/document/product/457/36833
    "service.kubernetes.io/qcloud-",
    "service.kubernetes.io/loadbalance-id",
    "service.kubernetes.io/tke-existed-lbid",
    "service.cloud.tencent.com/",
    // https://support.huaweicloud.com/intl/en-us/usermanual-cce/cce_10_0385.html
    "kubernetes.io/elb.",
    // https://yandex.cloud/en/docs/managed-kubernetes/nlb-ref/service
    "yandex.cloud/load-balancer-",
    "yandex.cloud/subnet-id",
    // https://github.com/stackitcloud/cloud-provider-stackit
    "lb.stackit.cloud/",
    "yawol.stackit.cloud/",
];

/// Returns the first mark of another load balancer in alphabetical order, so that the same Service
/// always gets the same message.
pub(super) fn mark<'a>(metadata: &'a Metadata<'_>) -> Option<&'a str> {
    let keys = metadata.annotations.iter().chain(&metadata.labels).flat_map(Pairs::keys);
    let finalizers = metadata.finalizers.iter().flatten().map(|finalizer| finalizer.as_str());
    let mut marks: Vec<_> = keys.chain(finalizers).filter(|key| is_mark(key)).collect();
    marks.sort_unstable();
    marks.first().copied()
}

fn is_mark(key: &str) -> bool {
    PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}
