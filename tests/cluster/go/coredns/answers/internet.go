package main

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// play answers as the internet would: every name has records of its own, but those with a label "nx".
func play(w dns.ResponseWriter, r *dns.Msg) {
	response := new(dns.Msg)
	response.SetReply(r)
	q := r.Question[0]
	name := strings.ToLower(q.Name)
	sum := sha256.Sum256([]byte(name))
	data := ""
	switch q.Qtype {
	case dns.TypeA:
		data = fmt.Sprintf("198.18.%d.%d", sum[0], sum[1])
	case dns.TypeAAAA:
		data = fmt.Sprintf("2001:db8::%x", sum[:2])
	case dns.TypeTXT:
		data = fmt.Sprintf("%q", name)
	case dns.TypeMX:
		data = "10 mail." + name
	}
	if strings.HasPrefix(name, "nx.") || strings.Contains(name, ".nx.") {
		response.Rcode = dns.RcodeNameError
		data = ""
	}
	if data == "" {
		soa, _ := dns.NewRR(". 60 IN SOA ns. admin. 1 60 60 60 60")
		response.Ns = append(response.Ns, soa)
	} else if rr, err := dns.NewRR(fmt.Sprintf("%s 60 IN %s %s", q.Name, dns.TypeToString[q.Qtype], data)); err == nil {
		response.Answer = append(response.Answer, rr)
	}
	w.WriteMsg(response)
}
