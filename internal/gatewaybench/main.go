// Gatewaybench measures the CPU time of the gateway's process per request and per streamed event, and compares it with that of a bare
// httputil.ReverseProxy and of one that keeps its connections, between the same clients and the same upstream. CPU time does not depend on the
// machine's other load. Only the ratios are comparable between machines.
//
//	make bench-gateway
//	make bench-telemetry
//
// Upstream, proxies and gateway are separate processes on loopback. The gateway is bin/berry with its full pipeline, eight backends and its
// log. wrk generates the load if it is installed. Linux only: CPU times come from /proc.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gatewaybench:", err)
		os.Exit(1)
	}
}

// run runs the role that the first argument names; without one it measures.
func run(ctx context.Context, arguments []string) error {
	role, target := "", ""
	if len(arguments) > 0 {
		role, target = arguments[0], arguments[len(arguments)-1]
	}
	switch role {
	case "upstream":
		return serve(ctx, newUpstream())
	case "collector":
		return serve(ctx, http.HandlerFunc(collector))
	case "hole":
		return serve(ctx, http.HandlerFunc(hole))
	case "proxy":
		return serveProxy(ctx, target, http.DefaultTransport)
	case "keeping-proxy":
		return serveProxy(ctx, target, &http.Transport{MaxIdleConnsPerHost: 256})
	}
	b := bench{out: os.Stdout}
	flags := flag.NewFlagSet("gatewaybench", flag.ContinueOnError)
	flags.StringVar(&b.berry, "berry", "bin/berry", "the gateway's binary")
	flags.IntVar(&b.rounds, "rounds", 5, "number of measurements of each process, in turn")
	flags.IntVar(&b.connections, "connections", 64, "number of concurrent clients")
	flags.DurationVar(&b.duration, "duration", 4*time.Second, "of one measurement")
	flags.StringVar(&b.only, "only", "", "measure only the loads whose names have this prefix")
	flags.StringVar(&b.profiles, "profiles", "", "folder for CPU profiles of the gateway, one per load")
	flags.BoolVar(&b.seen, "telemetry", false, "measure the cost of metrics and traces instead")
	if err := flags.Parse(arguments); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	return b.run(ctx)
}
