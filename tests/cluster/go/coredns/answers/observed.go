package main

import (
	"context"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"

	"hairpin-proxy/tests/coredns/corefile"
)

// What two plugins of ours saw of the one query that is under way: in front of all others, and behind rewrite.
type observed struct {
	block    int
	question question
}

var (
	seen   observed
	marked map[int]bool
)

// around puts the first into each server block that has a plugin at all, and the second into each with a rewrite.
var around = corefile.Around{
	Before: func(_ string, c *caddy.Controller) {
		block := c.ServerBlockIndex
		if !marked[block] {
			marked[block] = true
			observe(c, func(dns.Question) {
				if seen.block < 0 {
					seen.block = block
				}
			})
		}
	},
	After: func(directive string, c *caddy.Controller) {
		if directive == "rewrite" {
			observe(c, func(q dns.Question) {
				if seen.question.Name == "" {
					seen.question = question{q.Name, dns.TypeToString[q.Qtype]}
				}
			})
		}
	},
}

type observer struct {
	next plugin.Handler
	note func(dns.Question)
}

func (o observer) Name() string { return "observer" }

func (o observer) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	o.note(r.Question[0])
	return plugin.NextOrFailure(o.Name(), o.next, ctx, w, r)
}

func observe(c *caddy.Controller, note func(dns.Question)) {
	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler { return observer{next, note} })
}
