// Command gw-control-plane is a Kubernetes control plane, and the node agents, in one static binary.
//
// The first argument names the component; what follows are that component's own arguments.
// One binary keeps the build (minutes) and the container image (one file) single.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kubeproxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	// Registered by import: without them `--logging-format json` and the client metrics are missing.
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

// components are built on demand: each constructor registers global flags and feature gates.
var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": func() *cobra.Command { return controllermanager.NewControllerManagerCommand() },
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kube-proxy":              kubeproxy.NewProxyCommand,
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	name := os.Args[1]
	// The components read os.Args themselves and expect their own name in front.
	os.Args = os.Args[1:]
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "together":
		os.Exit(together(os.Args[1:]))
	default:
		command, known := components[name]
		if !known {
			usage()
		}
		os.Exit(cli.Run(command()))
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, `usage: gw-control-plane COMPONENT [ARGUMENT...]

Components: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy, kubelet.

  gw-control-plane together HOLD-ADDRESS COMMANDS.json
      runs several components in one container for as long as a client stays connected to HOLD-ADDRESS`)
	os.Exit(2)
}
