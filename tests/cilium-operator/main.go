// Command cilium-gateway-operator is the part of Cilium's operator that serves Gateway API, and nothing else of it.
//
// It writes the status of Gateways and routes and translates them to CiliumEnvoyConfig, by the operator's own cells. It has
// no agent and no Envoy, so nothing is ever served. The whole operator cannot be built from public Go modules.
package main

import (
	"os"

	"github.com/cilium/hive/cell"
	"github.com/spf13/cobra"

	operator "github.com/cilium/cilium/operator/option"
	"github.com/cilium/cilium/operator/pkg/ciliumenvoyconfig"
	controllerruntime "github.com/cilium/cilium/operator/pkg/controller-runtime"
	gatewayapi "github.com/cilium/cilium/operator/pkg/gateway-api"
	"github.com/cilium/cilium/operator/pkg/secretsync"
	mcsapi "github.com/cilium/cilium/pkg/clustermesh/mcsapi/types"
	"github.com/cilium/cilium/pkg/hive"
	"github.com/cilium/cilium/pkg/k8s/client"
	"github.com/cilium/cilium/pkg/logging"
	"github.com/cilium/cilium/pkg/option"
)

func main() {
	// The whole operator reads these from flags that the chart writes for gatewayAPI.enabled,
	// kubeProxyReplacement, ipv4.enabled and ipv6.enabled. The control plane of the suites has no IPv6.
	operator.Config.EnableGatewayAPI = true
	operator.Config.KubeProxyReplacement = true
	option.Config.EnableIPv4, option.Config.EnableIPv6 = true, false

	cells := hive.New(
		client.Cell,
		cell.Config(mcsapi.DefaultMCSAPIConfig),
		cell.Provide(
			func() *option.DaemonConfig { return option.Config },
			func() *operator.OperatorConfig { return operator.Config },
		),
		controllerruntime.Cell,
		gatewayapi.Cell,
		secretsync.Cell,
		// Only for the timeouts that the Gateway API cell takes from its flags.
		ciliumenvoyconfig.Cell,
	)
	command := &cobra.Command{
		Use:          "cilium-gateway-operator",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE:         func(*cobra.Command, []string) error { return cells.Run(logging.DefaultSlogLogger) },
	}
	cells.RegisterFlags(command.Flags())
	if command.Execute() != nil {
		os.Exit(1)
	}
}
