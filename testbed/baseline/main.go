// The yardstick of `make bench`: fastrak's pin of a claim as most admission webhooks are written,
// with controller-runtime. It is no part of what is installed and keeps to what the framework
// recommends: a typed object, a Defaulter, and a patch made by comparing before and after.
//
// What it is spared speaks for it and not for fastrak: it asks no cluster for the class and the
// nodes, which it is told once, and it writes no log.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// The names that fastrak writes.
const (
	path        = "/claims"
	provisioner = "local.fastrak.io"
	nodeKey     = "fastrak.io/node"
)

// class is what has to be known of a StorageClass.
type class struct {
	provisioner string
}

// pinner decides as fastrak does where exactly one node could hold the claim.
type pinner struct {
	classes map[string]class
	nodes   []string
}

var _ admission.Defaulter[*corev1.PersistentVolumeClaim] = &pinner{}

// Default implements admission.Defaulter.
func (p *pinner) Default(_ context.Context, claim *corev1.PersistentVolumeClaim) error {
	if claim.Spec.VolumeName != "" || claim.Spec.StorageClassName == nil {
		return nil
	}
	found, ok := p.classes[*claim.Spec.StorageClassName]
	if !ok || found.provisioner != provisioner || len(p.nodes) != 1 {
		return nil
	}
	if claim.Annotations == nil {
		claim.Annotations = map[string]string{}
	}
	if claim.Labels == nil {
		claim.Labels = map[string]string{}
	}
	node := p.nodes[0]
	claim.Labels[nodeKey] = node
	claim.Annotations[nodeKey] = node
	claim.Annotations["fastrak.io/pinned-by"] = "only-node"
	claim.Annotations["volume.kubernetes.io/selected-node"] = node
	claim.Annotations["volume.kubernetes.io/storage-provisioner"] = provisioner
	claim.Annotations["volume.beta.kubernetes.io/storage-provisioner"] = provisioner
	return nil
}

func main() {
	listen := flag.String("listen", "127.0.0.1:9443", "address at which reviews are answered (HTTPS)")
	certs := flag.String("tls-dir", "", "folder with tls.crt and tls.key")
	className := flag.String("class", "local-storage", "the class that is served")
	node := flag.String("node", "bench-node", "the node that could hold the claims")
	micro := flag.String("micro", "", "a file with a review: answer it over and over, without a network, and print ns for each")
	seconds := flag.Float64("seconds", 2, "how long to go on with -micro")
	flag.Parse()

	log.SetLogger(logr.Discard())
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		fail(err)
	}
	known := map[string]class{*className: {provisioner: provisioner}}
	hook := admission.WithDefaulter(scheme, &pinner{classes: known, nodes: []string{*node}})

	var err error
	if *micro != "" {
		err = loop(hook, *micro, time.Duration(*seconds*float64(time.Second)))
	} else {
		err = serve(hook, *listen, *certs)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// serve answers until it is told to end.
func serve(hook http.Handler, listen, certs string) error {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	// The API server speaks HTTP/1.1 to webhooks, and so does the bench; the framework's own
	// templates turn HTTP/2 off in this way too.
	http1 := func(config *tls.Config) { config.NextProtos = []string{"http/1.1"} }
	server := webhook.NewServer(webhook.Options{
		Host: host, Port: port, CertDir: certs, TLSOpts: []func(*tls.Config){http1},
	})
	server.Register(path, hook)
	end, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return server.Start(end)
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
// review to the bytes of its answer. The first half of the time is for warming up.
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
		started := time.Now()
		for time.Since(started) < limit/2 {
			for range 64 {
				taken.body.Reset()
				request.Body = io.NopCloser(bytes.NewReader(review))
				hook.ServeHTTP(taken, request)
			}
			rounds += 64
		}
		spent = time.Since(started)
	}
	if !bytes.Contains(taken.body.Bytes(), []byte(`"patch":"`)) {
		return fmt.Errorf("the answer has no patch: %s", taken.body.String())
	}
	fmt.Println(spent.Nanoseconds() / rounds)
	return nil
}
