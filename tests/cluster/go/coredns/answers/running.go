package main

import (
	"net"
	"strings"

	"github.com/coredns/caddy"

	"hairpin-proxy/tests/coredns/corefile"
)

// running is a CoreDNS that serves, as caddy.Start makes it, but on free ports.
type running struct {
	instance *caddy.Instance
	servers  []caddy.Server
	// listening says where each server that can be asked listens: its own address -> the one on loopback.
	listening map[string]string
}

func start(path, text string) (*running, error) {
	r := &running{listening: map[string]string{}}
	marked = map[int]bool{}
	var err error
	if r.instance, r.servers, err = corefile.SetUp(path, text); err != nil {
		return r, err
	}
	for _, callbacks := range [][]func() error{r.instance.OnFirstStartup, r.instance.OnStartup} {
		for _, callback := range callbacks {
			if err := callback(); err != nil {
				return r, err
			}
		}
	}
	for _, server := range r.servers {
		if err := r.serve(server); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (r *running) serve(server caddy.Server) error {
	address := server.(caddy.GracefulServer).Address()
	transport, _, _ := strings.Cut(address, "://")
	if transport == "dns" {
		packets, err := net.ListenPacket("udp", freePort)
		if err != nil {
			return err
		}
		r.listening[address] = packets.LocalAddr().String()
		go server.ServePacket(packets)
	}
	if transport == "tls" {
		listener, err := net.Listen("tcp", freePort)
		if err != nil {
			return err
		}
		r.listening[address] = listener.Addr().String()
		go server.Serve(listener)
	}
	return nil
}

func (r *running) stop() {
	if r.instance != nil {
		r.instance.ShutdownCallbacks()
	}
	for _, server := range r.servers {
		server.(caddy.GracefulServer).Stop()
	}
}
