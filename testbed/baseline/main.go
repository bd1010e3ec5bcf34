// The yardstick of `make bench`: fastrak's pin of a claim as most admission webhooks are written,
// with controller-runtime. It is no part of what is installed and keeps to what the framework
// recommends: a typed object, a Defaulter, and a patch made by comparing before and after.
// A manager with a cache keeps it informed of classes and nodes, as watches do fastrak. It writes no
// log and offers no metrics, which speaks for it.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// The names that fastrak writes.
const (
	path        = "/claims"
	provisioner = "local.fastrak.io"
	nodeKey     = "fastrak.io/node"
)

// pinner decides as fastrak does where exactly one node could hold the claim.
type pinner struct {
	facts client.Reader
}

var _ admission.Defaulter[*corev1.PersistentVolumeClaim] = &pinner{}

// Default implements admission.Defaulter.
func (p *pinner) Default(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if claim.Spec.VolumeName != "" || claim.Spec.StorageClassName == nil {
		return nil
	}
	var class storagev1.StorageClass
	if err := p.facts.Get(ctx, client.ObjectKey{Name: *claim.Spec.StorageClassName}, &class); err != nil {
		return client.IgnoreNotFound(err)
	}
	if class.Provisioner != provisioner {
		return nil
	}
	var nodes corev1.NodeList
	if err := p.facts.List(ctx, &nodes); err != nil || len(nodes.Items) != 1 {
		return err
	}
	if claim.Annotations == nil {
		claim.Annotations = map[string]string{}
	}
	if claim.Labels == nil {
		claim.Labels = map[string]string{}
	}
	node := nodes.Items[0].Name
	claim.Labels[nodeKey] = node
	claim.Annotations[nodeKey] = node
	claim.Annotations["fastrak.io/pinned-by"] = "only-node"
	claim.Annotations["volume.kubernetes.io/selected-node"] = node
	claim.Annotations["volume.kubernetes.io/storage-provisioner"] = provisioner
	claim.Annotations["volume.beta.kubernetes.io/storage-provisioner"] = provisioner
	return nil
}

// given knows one class and one node, without a cluster.
type given struct {
	class storagev1.StorageClass
	node  corev1.Node
}

func (g *given) Get(_ context.Context, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	g.class.DeepCopyInto(into.(*storagev1.StorageClass))
	return nil
}

func (g *given) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	into.(*corev1.NodeList).Items = []corev1.Node{g.node}
	return nil
}

func main() {
	listen := flag.String("listen", "127.0.0.1:9443", "address at which reviews are answered (HTTPS)")
	certs := flag.String("tls-dir", "", "folder with tls.crt and tls.key")
	micro := flag.String("micro", "", "a file with a review: answer it over and over, without a network, and print ns for each")
	seconds := flag.Float64("seconds", 2, "how long to go on with -micro")
	flag.Parse() // -kubeconfig is the framework's own.

	log.SetLogger(logr.Discard())
	err := error(nil)
	if *micro != "" {
		known := &given{class: storagev1.StorageClass{Provisioner: provisioner}}
		known.node.Name = "bench-node"
		err = loop(admission.WithDefaulter(scheme.Scheme, &pinner{known}), *micro, time.Duration(*seconds*float64(time.Second)))
	} else {
		err = serve(*listen, *certs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve answers until it is told to end.
func serve(listen, certs string) error {
	address, err := netip.ParseAddrPort(listen)
	if err != nil {
		return err
	}
	// The API server speaks HTTP/1.1 to webhooks, and so does the bench; the framework's own
	// templates turn HTTP/2 off in this way too.
	http1 := func(config *tls.Config) { config.NextProtos = []string{"http/1.1"} }
	server := webhook.NewServer(webhook.Options{
		Host: address.Addr().String(), Port: int(address.Port()),
		CertDir: certs, TLSOpts: []func(*tls.Config){http1},
	})
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme.Scheme, WebhookServer: server, Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		return err
	}
	manager.GetWebhookServer().Register(path, admission.WithDefaulter(manager.GetScheme(), &pinner{manager.GetClient()}))
	return manager.Start(ctrl.SetupSignalHandler())
}

// answer takes what the handler writes.
type answer struct {
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header            { return a.header }
func (a *answer) WriteHeader(int)                {}
func (a *answer) Write(text []byte) (int, error) { return a.body.Write(text) }

// loop measures decode, decision, patch and encoding: the framework's handler from the bytes of a
// review to the bytes of its answer, in processor time, of which the collector's is a part. The
// first half of the time is for warming up.
func loop(hook http.Handler, file string, limit time.Duration) error {
	review, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	taken := &answer{header: http.Header{}}
	var spent time.Duration
	var rounds int64
	for range 2 {
		rounds = 0
		started, before := time.Now(), spentUntilNow()
		for time.Since(started) < limit/2 {
			for range 64 {
				taken.body.Reset()
				request.Body = io.NopCloser(bytes.NewReader(review))
				hook.ServeHTTP(taken, request)
			}
			rounds += 64
		}
		spent = spentUntilNow() - before
	}
	if !bytes.Contains(taken.body.Bytes(), []byte(`"patch":"`)) {
		return fmt.Errorf("the answer has no patch: %s", taken.body.String())
	}
	fmt.Println(spent.Nanoseconds() / rounds)
	return nil
}

// spentUntilNow is the processor time of this process.
func spentUntilNow() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
