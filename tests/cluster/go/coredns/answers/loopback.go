package main

import (
	"github.com/coredns/caddy/caddyfile"

	"hairpin-proxy/tests/coredns/corefile"
)

const freePort = "127.0.0.1:0"

// onLoopback says which tokens change so that a Corefile that is made for a pod works here.
func onLoopback(kubeconfig, internet string) map[string]corefile.Change {
	return map[string]corefile.Change{
		"kubernetes": corefile.WithKubeconfig(kubeconfig),
		"health": corefile.EachStanza(func(s *corefile.Stanza) {
			s.Line = head(s.Line, 1, freePort)
			s.Inside = corefile.WithoutOption(s.Inside, "lameduck")
		}),
		"ready":      corefile.EachStanza(func(s *corefile.Stanza) { s.Line = head(s.Line, 1, freePort) }),
		"prometheus": corefile.EachStanza(func(s *corefile.Stanza) { s.Line = head(s.Line, 1, freePort) }),
		"forward":    corefile.EachStanza(func(s *corefile.Stanza) { s.Line = head(s.Line, 2, internet) }),
	}
}

// head is the start of a line, with other arguments behind it.
func head(line []caddyfile.Token, count int, arguments ...string) []caddyfile.Token {
	kept := append([]caddyfile.Token{}, line[:min(count, len(line))]...)
	for _, argument := range arguments {
		kept = append(kept, caddyfile.Token{File: line[0].File, Line: line[0].Line, Text: argument})
	}
	return kept
}
