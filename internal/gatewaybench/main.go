// Gatewaybench measures what the gateway costs: the CPU time that its process takes for a request and for a streamed event,
// beside that of a bare httputil.ReverseProxy, and of one that keeps its connections, between the same clients and the same
// upstream. CPU time says what a request costs, however busy the machine is with other things; only the ratios mean something
// on another machine.
//
//	make bench-gateway
//	make bench-telemetry
//
// Upstream, proxies and gateway are processes of their own on loopback; the gateway is bin/berry with its whole pipeline, eight
// backends to choose from, and its log. The load is wrk's, where that is installed. Linux only: CPU times come from /proc.
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

// run plays the role that the first argument names, or, without one, measures.
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
	flags.IntVar(&b.rounds, "rounds", 5, "how often each is measured, in turn")
	flags.IntVar(&b.connections, "connections", 64, "clients at once")
	flags.DurationVar(&b.duration, "duration", 4*time.Second, "of one measurement")
	flags.StringVar(&b.only, "only", "", "measure only the load whose name begins so")
	flags.StringVar(&b.profiles, "profiles", "", "a folder to write a CPU profile of the gateway under each load into")
	flags.BoolVar(&b.seen, "telemetry", false, "measure what metrics and traces cost, instead")
	if err := flags.Parse(arguments); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	return b.run(ctx)
}
